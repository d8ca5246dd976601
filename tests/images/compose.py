"""What `docker-compose config --format json` says of docker/compose.yaml, on standard input: mounts exist, each service is closed
as the README says, the names that files and services call each other by are there. The argument is a folder of docker/make-secrets."""

import json
import os
import pathlib
import re
import sys

DOCKER = pathlib.Path(__file__).parents[2] / "docker"
config = json.load(sys.stdin)
services = config["services"]
problems = []


def must(condition, what):
    if not condition:
        problems.append(what)


must(set(services) == {"database", "exporter", "prometheus", "alertmanager", "grafana", "postgrest"}, f"services {sorted(services)}")
for name, service in services.items():
    must(service.get("read_only"), f"{name} can write to its root folder")
    must(service.get("cap_drop") == ["ALL"], f"{name} has capabilities")
    must("no-new-privileges:true" in service.get("security_opt", []), f"{name} can gain privileges")
    must(int(service.get("mem_limit", 0)) > 0, f"{name} has no bound on its memory")
    must(re.fullmatch(r"[a-z_/-]+:(?!latest)[\w.-]+", service["image"]), f"{name} is of the image {service['image']}")
    # The database's is in its image; PostgREST's image has no program that could ask.
    must("healthcheck" in service or name in ("database", "postgrest"), f"{name} has no health check")
    for port in service.get("ports", []):
        must(port.get("host_ip") == "127.0.0.1", f"{name} listens on all addresses")
    for mount in service.get("volumes", []):
        if mount["type"] == "bind":
            must(os.path.exists(mount["source"]), f"{name} mounts {mount['source']}, which is not there")
            must(mount.get("read_only"), f"{name} can write to {mount['source']}")
        else:
            must(mount["source"] in config["volumes"], f"{name} mounts a volume without a name")
    for variable, value in service.get("environment", {}).items():
        secret = variable.upper().endswith(("_FILE", "DB_URI", "PASSWORD"))
        must(not secret or str(value).lstrip("@").startswith("/run/secrets/"), f"{name} has the secret {variable} in the open")
        if "/run/secrets/" in str(value):
            must(value.rpartition("/")[2] in [s["source"] for s in service["secrets"]], f"{name} is not given {value}")

# The exporter is asked by nobody but Prometheus.
must("outside" not in services["exporter"]["networks"], "the exporter can be reached from outside")
must(config["networks"]["inside"].get("internal"), "the network inside reaches the world")
made = {path.name for path in pathlib.Path(sys.argv[1]).iterdir()}
must(made == set(config["secrets"]), f"make-secrets makes {sorted(made)}, compose.yaml wants {sorted(config['secrets'])}")
for name, secret in config["secrets"].items():
    must(secret["file"] == str(DOCKER / "secrets" / name), f"{name} is the file {secret['file']}")

# What Prometheus and Grafana name is a service, at the port that it listens on.
text = (DOCKER / "prometheus/prometheus.yaml").read_text() + (DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text()
named = set(re.findall(r"(?:'|//)([a-z]+):(\d+)\b", text))
must(named == {("exporter", "9187"), ("alertmanager", "9093"), ("prometheus", "9090")}, f"named are {sorted(named)}")
mounted = [m["target"] for m in services["grafana"]["volumes"]]
folder = re.search(r"path: ([\w/]+)", (DOCKER / "grafana/provisioning/dashboards/pg_recommend.yaml").read_text())[1]
must(f"{folder}/pg_recommend.json" in mounted, f"Grafana looks for dashboards in {folder}")
must(services["prometheus"]["command"][0].partition("=")[2] in [m["target"] for m in services["prometheus"]["volumes"]], "Prometheus' file")

print("\n".join(problems) or "compose.yaml is as it should be")
sys.exit(bool(problems))
