"""LoRA through peft: only the adapters move, are snapshotted, counted and saved."""

import json
from dataclasses import replace

import pandas as pd
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from support.grpo_trainer import arguments, history
from support.small import small_config

import gxpo.training.cell as training
from gxpo import MethodTrainer, load_method
from gxpo.config import complete_config, get_cell
from gxpo.evaluation.cell import evaluate
from gxpo.method import Method
from gxpo.policy.loading import load_adapted_model, load_model, lora_config

LORA = {"r": 4, "alpha": 8}


def lora_cell(policy, label="gxpo"):
    config = small_config(policy)
    config["models"]["tiny"]["lora"] = LORA
    config["train"]["micro_batch_size"] = 8
    config["methods"] = {"grpo": {"method": "grpo"}, "gxpo": {"method": "gxpo", "k": 4}}
    return get_cell(complete_config(config), "tiny", label, 0)


def checkpoint(cell, step=6):
    return cell.folder / "state" / f"checkpoint-{step}"


def test_a_cell_trains_adapters_alone_and_is_evaluated_either_way(tiny_policy, workdir):
    cell = lora_cell(tiny_policy)
    training.train(cell)
    files = {path.name for path in checkpoint(cell).iterdir()}
    assert "adapter_model.safetensors" in files
    assert "model.safetensors" not in files
    adapter = load_file(checkpoint(cell) / "adapter_model.safetensors")
    run = json.loads((cell.folder / "run.json").read_text())
    assert run["trainable_parameters"] == sum(t.numel() for t in adapter.values())

    # stock peft loads it, and merging is the same policy
    base = load_model(str(tiny_policy))
    adapted = PeftModel.from_pretrained(load_model(str(tiny_policy)), str(checkpoint(cell)))
    merged = load_adapted_model(load_model(str(tiny_policy)), checkpoint(cell), merged=True)
    tokens = torch.arange(2, 12).unsqueeze(0)
    with torch.no_grad():
        wanted, got = adapted(tokens).logits, merged(tokens).logits
        before = base(tokens).logits
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(wanted, before, atol=1e-3)

    scores = {}
    for lora in ("merged", "adapter"):
        evaluate(replace(cell, evaluate={**cell.evaluate, "lora": lora}))
        scores[lora] = pd.read_csv(cell.folder / "scores.csv")
    assert len(scores["merged"]) == 8
    # the same random streams: only rounding can tell the two apart
    gap = scores["merged"]["pass_at_1"] - scores["adapter"]["pass_at_1"]
    assert gap.abs().max() <= 0.05


def test_small_changes_to_bfloat16_weights_are_there_beside_them_and_lost_in_them(
    tiny_policy, tmp_path
):
    def load():
        return load_model(str(tiny_policy), "bfloat16")

    adapted = get_peft_model(load(), LoraConfig(r=128, lora_alpha=256, target_modules=["v_proj"]))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.uniform_(-1e-5, 1e-5)
    adapted.save_pretrained(str(tmp_path))

    def layer(model):
        return model.get_submodule("model.layers.0.self_attn.v_proj")

    beside = layer(load_adapted_model(load(), tmp_path, merged=False).base_model.model)
    assert beside.get_delta_weight("default").dtype == torch.float32
    assert (beside.get_delta_weight("default") != 0).all()
    merged = layer(load_adapted_model(load(), tmp_path, merged=True))
    assert (merged.weight != layer(load()).weight).float().mean() < 0.2


class LooksAround(Method):
    """Records what it is handed and the initial adapters."""

    def __init__(self):
        self.initial = None

    def update(self, batch):
        snapshot = batch.snapshot()
        assert len(snapshot.parameters) == len(batch.parameters) == len(batch.gradients)
        self.initial = self.initial or snapshot.parameters
        batch.backward()
        batch.step()
        return {}


def test_methods_see_the_adapters_only_and_start_alike(tiny_policy, tmp_path):
    rule = LooksAround()
    initial = []
    for method in (rule, load_method("gxpo")):
        torch.manual_seed(7)
        trainer = MethodTrainer(
            method=method,
            peft_config=lora_config({"lora": {**LORA, "targets": ["q_proj", "v_proj"]}}),
            **arguments(tiny_policy, tmp_path, steps=2),
        )
        frozen = {n: p.clone() for n, p in trainer.model.named_parameters() if not p.requires_grad}
        initial.append([p.detach().clone() for p in trainer.trainable_parameters])
        trainer.train()
        names = [n for n, p in trainer.model.named_parameters() if p.requires_grad]
        assert names
        assert all("lora_" in name for name in names)
        for name, parameter in trainer.model.named_parameters():
            if name in frozen:
                assert torch.equal(parameter, frozen[name]), name
    assert all(torch.equal(a, b) for a, b in zip(*initial, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(rule.initial, initial[0], strict=True))


def test_grpo_with_lora_is_bit_identical_to_stock_trl(tiny_policy, tmp_path):
    from trl import GRPOTrainer

    runs = []
    for cls, extra in ((GRPOTrainer, {}), (MethodTrainer, {"method": load_method("grpo")})):
        torch.manual_seed(7)
        peft_config = lora_config({"lora": {**LORA, "targets": ["q_proj"]}})
        options = arguments(tiny_policy, tmp_path, steps=3, beta=0.04, learning_rate=1e-2)
        trainer = cls(peft_config=peft_config, **extra, **options)
        trainer.train()
        weights = {n: p.detach() for n, p in trainer.model.named_parameters() if p.requires_grad}
        runs.append((history(trainer), weights))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(runs[0][1][name], runs[1][1][name]) for name in runs[0][1])


def test_adapters_have_no_dropout():
    assert lora_config({"lora": {**LORA, "targets": ["q_proj"]}}).lora_dropout == 0.0
    assert lora_config({}) is None
