"""The site holds docs/ alone: what a page links to elsewhere in the repository is named instead."""

import re

_OUTSIDE = re.compile(
    r"\[([^\]]+)\]\((?:\.\./)+(?!(?:guide|reference|evidence|figures)/|architecture)([^)#]+)[^)]*\)"
)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by mkdocs on every page before it is rendered."""

    def named(link: re.Match[str]) -> str:
        text, path = link[1], link[2]
        is_path = re.fullmatch(r"`?[\w./*-]+`?", text) and ("/" in text or "." in text)
        is_path = is_path or text == path
        return f"`{path}`" if is_path else f"{text} (`{path}`)"

    return _OUTSIDE.sub(named, markdown)
