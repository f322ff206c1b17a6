"""Model folders that cannot be what the configuration takes them for."""

import json
import shutil
import struct

import pytest
import yaml
from support.small import run

from gxpo.checking.light_tokenizer import light_tokenizer
from gxpo.checking.model_folder import ModelFolder
from gxpo.policy.loading import load_tokenizer, module_names
from gxpo.policy.tiny import CONTEXT, MODULES
from gxpo.policy.warmstart import tiny_model, tiny_tokenizer
from gxpo.problems import load_problems


def test_a_sound_folder_is_taken(said):
    assert said() == []


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"),
        *("special_tokens_map.json", "model.safetensors.index.json"),
    ],
)
@pytest.mark.parametrize("content", [b"{", b"[1]", b"", b"\xff\xfe{}"])
def test_a_damaged_file_is_named_in_one_line(folder, said, name, content):
    (folder / name).write_bytes(content)
    (reason,) = said()
    assert f"models.tiny: model file {folder / name} " in reason
    assert "\n" not in reason


@pytest.mark.parametrize("ends", ["2", [2, "3"], {"a": 1}, 2.5, True])
def test_an_end_that_is_no_token_is_refused(write, said, ends):
    write("generation_config.json", eos_token_id=ends)
    (reason,) = said()
    assert "generation_config.json: eos_token_id is " in reason


def test_what_a_folder_of_weights_lacks_is_named(folder, said):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    assert f"{weights} is not whole: it has {len(whole) - 1} bytes" in said()[0]
    weights.write_bytes(whole[:5])
    assert f"{weights} is not whole: its header is cut off" in said()[0]
    weights.write_bytes(struct.pack("<Q", 4) + b"{}}}")
    assert f"{weights} is not whole" in said()[0]
    (folder / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "part-1.safetensors"}}'
    )
    assert "part-1.safetensors is missing, though" in said()[0]
    (folder / "model.safetensors.index.json").unlink()
    weights.unlink()
    assert f"{folder} has no weights in safetensors" in said()[0]
    (folder / "config.json").unlink()
    assert f"{folder} has no config.json" in said()[0]


def test_a_path_that_is_no_folder_and_no_hub_name(raw, said):
    raw["models"]["tiny"]["path"] = "~/models/mine"
    (reason,) = said()
    assert reason.startswith(
        "config: models.tiny: '~/models/mine' is neither a folder nor the name"
    )
    raw["models"]["tiny"]["path"] = "someone/not-fetched-yet"
    assert said() == []  # checked once it is here


def test_a_fetched_hub_model_is_checked_in_the_cache(raw, folder, said, workdir, monkeypatch):
    cache = workdir / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(cache), raising=False)
    place = cache / "models--someone--small" / "snapshots" / ("a" * 40)
    shutil.copytree(folder, place)
    raw["models"]["tiny"] = {"path": "someone/small", "revision": "a" * 40, "chat": True}
    (reason,) = said()
    assert "the tokenizer of someone/small has no chat template" in reason


@pytest.mark.parametrize("targets", [["q_proj", "o_proj"], ["self_attn.q_proj"], ["lm_head"]])
def test_targets_that_modules_have(raw, said, targets):
    raw["models"]["tiny"]["lora"] = {"targets": targets}
    assert said() == []


@pytest.mark.parametrize(
    "wrong", ["c_attn", "proj", "all-linear", "model.layers.*.q_proj", "Q_proj"]
)
def test_a_target_that_no_module_has_is_refused_though_others_match(raw, said, wrong):
    raw["models"]["tiny"]["lora"] = {"targets": ["q_proj", wrong]}
    (reason,) = said()
    assert f"models.tiny: lora.targets: no module is called {wrong!r}: the model has " in reason
    assert " q_proj, " in reason
    raw["models"] = {"made": {"architecture": "llama", "lora": {"targets": ["q_proj", wrong]}}}
    (reason,) = said()
    assert f"models.made: lora.targets: no module is called {wrong!r}" in reason


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_what_is_known_of_tiny_policies_is_so(architecture):
    model = tiny_model(architecture, tiny_tokenizer())
    ends = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    assert set(MODULES) <= ends
    assert model.config.max_position_embeddings == CONTEXT


def test_the_modules_of_a_folder_are_known_without_its_weights(folder):
    (folder / "model.safetensors").unlink()
    assert "model.layers.0.self_attn.q_proj" in module_names(str(folder))


def test_the_light_tokenizer_counts_as_the_real_one(folder):
    texts = [problem.problem for problem in load_problems("synthetic/test", 50)] + ["", "what ?"]
    light, real = light_tokenizer(ModelFolder(folder)), load_tokenizer(str(folder))
    assert light(texts).input_ids == real(texts).input_ids
    assert light("Ann has 1").input_ids == real("Ann has 1").input_ids
    assert light.unk_token_id == real.unk_token_id


def test_check_and_train_refuse_alike(raw, folder, write, workdir, monkeypatch, capsys):
    """The command line, end to end: one line, exit code 2, and no step is trained."""
    raw["models"]["tiny"]["lora"] = {"r": 2, "targets": ["q_proj", "nope"]}
    (workdir / "c.yaml").write_text(yaml.safe_dump(raw))
    for command in (["check"], ["train", "--model", "tiny", "--label", "grpo", "--seed", "0"]):
        assert run(monkeypatch, command[0], "c.yaml", *command[1:]) == 2
        assert "lora.targets: no module is called 'nope'" in capsys.readouterr().err
    assert not list(workdir.rglob("checkpoint-*"))
    (workdir / "c.yaml").write_text(
        yaml.safe_dump(raw | {"models": {"tiny": {"path": str(folder)}}})
    )
    (folder / "tokenizer_config.json").write_text(json.dumps([]))
    assert run(monkeypatch, "train", "c.yaml", *command[1:]) == 2
    assert "tokenizer_config.json must hold a JSON object, not []" in capsys.readouterr().err
