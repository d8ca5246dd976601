"""Brings what the pages link to outside docs/ into the site: other pages of the repository as they are, other files as pages
that show them. A link that leads nowhere is left as it is, and mkdocs complains of it."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
# Code, which has no links, or the target of a link.
CODE_OR_LINK = re.compile(r"^```.*?^```|`[^`\n]+`|(?<=\]\()[^)\s]+(?=\))", re.DOTALL | re.MULTILINE)
LANGUAGES = {".sql": "sql", ".toml": "toml", ".py": "python", ".rs": "rust", ".sh": "sh", ".yaml": "yaml", ".json": "json"}

brought = {}  # by where it is in the site: where it is in the repository


def links(text):
    found = (match.group() for match in CODE_OR_LINK.finditer(text))
    return [link for link in found if not link.startswith("`") and is_path(link)]


def is_path(link):
    return "://" not in link and not link.startswith(("#", "mailto:", "`"))


def target(link, page):
    """Where a link of a page leads in the repository, or None."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link.partition("#")[0]))
    if path.startswith(".."):
        return None
    if (ROOT / path / "README.md").is_file():
        path = posixpath.join(path, "README.md")
    return path if (ROOT / path).is_file() else None


def place(path):
    """Where a file of the repository is in the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"repository/{path}" if path.endswith(".md") else f"repository/{path}.md"


def shown(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    language = LANGUAGES.get(Path(path).suffix, "text")
    return f"# {path}\n\n````{language}\n{text}````\n"


def on_files(files, config):
    pages = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    waiting = list(pages)
    while waiting:
        page = waiting.pop()
        if not page.endswith(".md"):
            continue
        for link in links(pages[page]):
            path = target(link, page)
            if path is None or path in pages or (path.startswith("docs/") and path.endswith(".md")):
                continue
            pages[path] = shown(path)
            brought[place(path)] = path
            files.append(File.generated(config, place(path), content=pages[path]))
            waiting.append(path)
    return files


def on_page_markdown(markdown, page, config, files):
    here = page.file.src_uri
    path = brought.get(here, f"docs/{here}")
    if not path.endswith(".md"):
        return markdown

    def led(match):
        link = match.group()
        if link.startswith("`") or not is_path(link) or (found := target(link, path)) is None:
            return link
        anchor = link.partition("#")
        return posixpath.relpath(place(found), posixpath.dirname(here) or ".") + anchor[1] + anchor[2]

    return CODE_OR_LINK.sub(led, markdown)
