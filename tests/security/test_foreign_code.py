"""Code that a file brings along, of a model or in YAML: it is not executed."""

import json
import shutil
from pathlib import Path

import pytest
from support.small import ROOT

from gxpo import cli
from gxpo.host import UserError
from gxpo.policy.loading import load_model, load_tokenizer


@pytest.mark.parametrize("known", [False, True])
def test_the_code_of_a_model_is_not_executed(tiny_policy, tmp_path, known):
    """known: an architecture that the library has; its own code is used."""
    folder = Path(shutil.copytree(tiny_policy, tmp_path / "model"))
    mark = tmp_path / "executed"
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    if not known:
        config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["evil.Tokenizer", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    load_tokenizer(str(folder))
    if known:
        load_model(str(folder))
    else:
        with pytest.raises(UserError, match="cannot be loaded"):
            load_model(str(folder))
    assert not mark.exists()


def test_yaml_makes_no_objects(workdir, monkeypatch, capsys):
    (workdir / "config.yaml").write_text("name: !!python/object/apply:os.mkdir [executed]\n")
    monkeypatch.setattr("sys.argv", ["gxpo", "check", "config.yaml"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    assert "not valid YAML" in capsys.readouterr().err
    assert not (workdir / "executed").exists()


def test_no_source_reads_pickles():
    """torch.load, numpy's pickles and remote code are in no file of the suite."""
    sources = [*ROOT.glob("gxpo/**/*.py"), *ROOT.glob("methods/*.py"), *ROOT.glob("workflow/**/*")]
    assert len(sources) > 50
    for word in (
        "torch.load(",
        "import pickle",
        "allow_pickle",
        "trust_remote_code=True",
        "shell=True",
    ):
        assert [str(s) for s in sources if s.is_file() and word in s.read_text()] == [], word
