"""What scripts/release-notes makes of a changelog. Run by scripts/test-dist."""

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
SCRIPT = str(Path(__file__).resolve().parents[2] / "scripts" / "release-notes")
LOADER = importlib.machinery.SourceFileLoader("release_notes", SCRIPT)
release_notes = importlib.util.module_from_spec(importlib.util.spec_from_loader("release_notes", LOADER))
LOADER.exec_module(release_notes)

CHANGELOG = """# Changelog

## Unreleased

- not yet

## 0.2.0 - 2026-12-01

A summary over
two lines.

### Added

- `one`, which is
  long ([page](docs/one.md#part), [elsewhere](https://example.org/x), [here](#there)).
- two
  - two and a half,
    also long

```sql
SELECT 1
FROM t;
```

| a | b |
| --- | --- |
| 1 | 2 |

## 0.1.10 - 2026-11-02

- ten

## [0.1.1] - 2026-11-01

- the first
"""


class Notes(unittest.TestCase):
    def notes(self, tag, base="", changelog=CHANGELOG):
        return release_notes.notes(changelog, tag, base)

    def refused(self, tag, *words, changelog=CHANGELOG):
        with self.assertRaises(release_notes.NotesError) as caught:
            self.notes(tag, changelog=changelog)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_a_section_ends_where_the_next_version_begins(self):
        text = self.notes("v0.2.0")
        self.assertTrue(text.startswith("A summary over two lines.\n\n### Added\n"))
        self.assertTrue(text.endswith("| 1 | 2 |\n"))
        self.assertNotIn("not yet", text)
        self.assertNotIn("the first", text)

    def test_the_last_section_ends_with_the_file_and_may_be_in_brackets(self):
        self.assertEqual(self.notes("v0.1.1"), "- the first\n")

    def test_a_version_is_not_taken_for_a_longer_one(self):
        self.assertEqual(self.notes("v0.1.10"), "- ten\n")

    def test_lines_of_an_item_are_joined_and_those_of_code_and_tables_are_not(self):
        text = self.notes("v0.2.0")
        self.assertIn("- `one`, which is long ([page]", text)
        self.assertIn("\n- two\n  - two and a half, also long\n", text)
        self.assertIn("```sql\nSELECT 1\nFROM t;\n```\n", text)
        self.assertIn("| a | b |\n| --- | --- |\n| 1 | 2 |", text)

    def test_links_to_files_lead_to_those_of_the_tag_and_others_stay(self):
        text = self.notes("v0.2.0", "https://host/o/r/blob/v0.2.0")
        self.assertIn("[page](https://host/o/r/blob/v0.2.0/docs/one.md#part)", text)
        self.assertIn("[elsewhere](https://example.org/x)", text)
        self.assertIn("[here](#there)", text)

    def test_a_version_without_a_section_is_refused(self):
        self.refused("v0.3.0", "no section", "0.3.0")

    def test_a_version_without_a_date_is_refused(self):
        self.refused("v0.2.0", "no date", changelog="## 0.2.0\n\n- something\n")

    def test_a_section_of_headings_alone_is_refused(self):
        self.refused("v0.2.0", "says nothing", changelog="## 0.2.0 - 2026-12-01\n\n### Added\n\n## 0.1.0 - 2026-11-01\n- x\n")

    def test_what_is_no_version_is_refused(self):
        for tag in ("0.2.0", "v0.2", "vUnreleased", "v0.2.0\n"):
            self.refused(tag, "no tag")

    def test_the_changelog_of_this_checkout_can_be_read(self):
        text = release_notes.CHANGELOG.read_text()
        self.assertTrue([line for line in text.splitlines() if release_notes.HEADING.fullmatch(line)])


if __name__ == "__main__":
    unittest.main()
