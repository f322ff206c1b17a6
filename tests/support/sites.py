"""A site file, and models that ask a cluster for much and for little."""

BIG = {"path": "big", "resources": {"gpu": 4, "mem_gb": 96, "hours": 48}, "threads": 3}

TINY = {"architecture": "qwen2"}


def site_file(folder, text):
    (folder / "site.yaml").write_text(text)
    return folder / "site.yaml"
