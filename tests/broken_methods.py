"""Rules that break one promise each, and the checks that must notice.

Every entry is GRPO with one thing wrong. ``fails``: the checks that find it; where there are
several, one cannot be broken without the others.
"""

from dataclasses import dataclass

PRELUDE = """
import os, random, socket, subprocess, sys
from pathlib import Path
import numpy
import torch
from gxpo.method import Method, PolicyBatch
"""

DOCUMENTED = "hyperparameters are documented and typed"
FLOATS = "diagnostics are floats"
PASSES = "counted passes are the true ones"
DETERMINISTIC = "deterministic under a seed"
RESUME = "resumes exactly from its state"
GRPO = "is GRPO where it says so"
NO_SIGNAL = "finite without a learning signal"
NAN = "no NaN reaches the parameters"
MEMORY = "memory stays flat"
ACCUMULATION = "works with gradient accumulation"
LORA = "works with LoRA"
SETTINGS = "leaves the optimizer's settings alone"
RANDOM = "leaves random streams alone"
FROZEN = "leaves frozen parameters alone"
OTHERS = "leaves gradients of others alone"
TORCH = "leaves torch's settings alone"
OUTSIDE = "leaves files and environment alone"
TRAINER = "works in TRL's trainer"
DDP = "works with DDP"
DTENSOR = "works on DTensor shards (FSDP2)"


@dataclass(frozen=True)
class Broken:
    """name: what is wrong. message: a pattern of the verdict. body: of the class."""

    name: str
    fails: tuple[str, ...]
    message: str
    body: str

    @property
    def source(self) -> str:
        lines = self.body.strip("\n").replace("\n", "\n    ")
        head = 'class Broken(Method):\n    """A rule.\n\n    a: strength."""'
        return f"{PRELUDE}\n{head}\n\n    {lines}\n"


def update(before="", between="", after="", returns="{}"):
    """An ``update`` of one backward and one step, with lines in its three gaps."""
    lines = [before, "batch.backward()", between, "batch.step()", after, f"return {returns}"]
    body = "\n".join(line for line in lines if line)
    return "def update(self, batch: PolicyBatch):\n    " + body.replace("\n", "\n    ")


SIMPLE = update()
TAKES = "def __init__(self, {}):\n    {}\n"

QUICK = [
    Broken(
        "untyped",
        (DOCUMENTED,),
        "a has no type",
        TAKES.format("a=1.0", "self.a = a") + SIMPLE,
    ),
    Broken(
        "undocumented",
        (DOCUMENTED,),
        "b has no line 'b: ...'",
        TAKES.format("b: float = 1.0", "self.b = b") + SIMPLE,
    ),
    Broken(
        "not an attribute",
        (DOCUMENTED,),
        "a is not kept as an attribute",
        TAKES.format("a: float = 1.0", "self.a = a + 1") + SIMPLE,
    ),
    Broken(
        "default of another type",
        (DOCUMENTED,),
        "its own defaults are refused: hyperparameter 'a' .* must be int",
        TAKES.format("a: int = 0.5", "self.a = a") + SIMPLE,
    ),
    Broken(
        "any keyword",
        (DOCUMENTED,),
        r"the constructor takes \*a",
        TAKES.format("**a: float", "self.a = {}") + SIMPLE,
    ),
    Broken(
        "reports a tensor",
        (FLOATS,),
        "diagnostic 'norm' is of type Tensor",
        update(returns='{"norm": torch.ones(())}'),
    ),
    Broken(
        "half active",
        (FLOATS,),
        "active is 0.5",
        update(returns='{"active": 0.5}'),
    ),
    Broken(
        "infinite",
        (FLOATS,),
        "diagnostic 'ratio' is inf",
        update(returns='{"ratio": float("inf")}'),
    ),
    Broken(
        "silent once it is off",
        (FLOATS,),
        "active is reported in some updates only",
        "seen = 0\n"
        + update(before="self.seen += 1", returns='{"active": 1.0} if self.seen <= 30 else {}')
        + "\ndef state_dict(self):\n    return {'seen': self.seen}"
        + "\ndef load_state_dict(self, state):\n    self.seen = state['seen']",
    ),
    Broken(
        "leaves the process",
        (NAN,),
        "raised SystemExit",
        "def update(self, batch: PolicyBatch):\n"
        "    if not batch.backward().grad_norm < float('inf'):\n        raise SystemExit(0)\n"
        "    batch.step()\n    return {}",
    ),
    Broken(
        "backward behind the harness's back",
        (PASSES,),
        "80 backward passes in 40 updates, counted 40",
        update("batch._loss_fn().backward()"),
    ),
    Broken(
        "looks at the loss behind the harness's back",
        (PASSES,),
        "80 forward passes in 40 updates, counted 40",
        update(after="with torch.no_grad():\n    batch._loss_fn()"),
    ),
    Broken(
        "cooks the books",
        (PASSES,),
        "40 backward passes in 40 updates, counted 0",
        update("batch.cost.backward_passes -= 1"),
    ),
    Broken(
        "chance of its own",
        (DETERMINISTIC, RESUME, ACCUMULATION),
        "two runs of one seed ended at different parameters",
        update(
            after="with torch.no_grad():\n"
            "    batch.parameters[0].mul_(1 + 0.01 * random.SystemRandom().random())"
        ),
    ),
    Broken(
        "forgets",
        (RESUME,),
        "cut after update 1, it ends at other parameters",
        "age = 0\n"
        + update(
            between="self.age += 1\nfor g in batch.gradients:\n    g.mul_(1 / self.age)",
        ),
    ),
    Broken(
        "forgets what it reports",
        (RESUME,),
        "cut after update 1, it reports other diagnostics",
        "age = 0.0\n" + update("self.age += 1", returns='{"age": self.age}'),
    ),
    Broken(
        "state that is no JSON",
        (RESUME,),
        "holds no JSON values",
        update() + '\ndef state_dict(self):\n    return {"g": torch.ones(2)}',
    ),
    Broken(
        "two steps called GRPO",
        (GRPO,),
        "with {} it is not GRPO",
        "equals_grpo_with = [{}]\n" + update("batch.backward()\nbatch.step()"),
    ),
    Broken(
        "a setting that it does not take",
        (GRPO,),
        "UserError: .* has no hyperparameter 'rho'",
        "equals_grpo_with = [{'rho': 0.0}]\n" + SIMPLE,
    ),
    Broken(
        "moves by its own norm",
        (NO_SIGNAL,),
        "parameters are not finite after update 1",
        "def update(self, batch: PolicyBatch):\n"
        "    norm = torch.tensor(batch.backward().grad_norm)\n"
        "    batch.step()\n"
        "    with torch.no_grad():\n"
        "        for p in batch.parameters:\n"
        "            p.mul_(1 - 0.01 * norm / norm)\n"
        "    return {}",
    ),
    Broken(
        "normalises nothing",
        (NO_SIGNAL, FLOATS),
        "FloatingPointError: gradient norm is nan as the rule left it",
        "def update(self, batch: PolicyBatch):\n"
        "    norm = batch.backward().grad_norm\n"
        "    for g in batch.gradients:\n"
        "        g.div_(torch.tensor(norm))\n"
        "    batch.step()\n"
        "    return {}",
    ),
    Broken(
        "moves before it looks",
        (NAN,),
        "the first gradient was NaN, and the parameters moved",
        update(
            between="with torch.no_grad():\n"
            "    for p in batch.parameters:\n"
            "        p.sub_(p.grad, alpha=1e-3)"
        ),
    ),
    Broken(
        "swallows the failure",
        (NAN,),
        "every gradient was NaN, and the update passed for a success",
        "def update(self, batch: PolicyBatch):\n"
        "    batch.backward()\n"
        "    try:\n"
        "        batch.step()\n"
        "    except FloatingPointError:\n"
        "        pass\n"
        "    return {}",
    ),
    Broken(
        "keeps every start",
        (MEMORY,),
        r"\d+ more tensors and \d+ more bytes are alive after 50 more updates",
        "def __init__(self):\n    self.starts = []\n"
        + update("self.starts.append(batch.snapshot())"),
    ),
    Broken(
        "keeps the batch",
        (MEMORY,),
        "it keeps the batch",
        update("self.batch = batch"),
    ),
    Broken(
        "a step a micro-batch",
        (ACCUMULATION,),
        "in 4 micro-batches it ends elsewhere",
        update("for _ in batch._micro_batches[1:]:\n    batch.backward()\n    batch.step()"),
    ),
    Broken(
        "dearer in micro-batches",
        (ACCUMULATION,),
        "in 4 micro-batches it costs",
        update(between="if len(batch._micro_batches) > 1:\n    batch.backward()"),
    ),
    Broken(
        "never steps",
        (LORA, NAN, ACCUMULATION),
        "it moves no adapter",
        "def update(self, batch: PolicyBatch):\n    batch.backward()\n    return {}",
    ),
    Broken(
        "divides by each tensor's own norm",
        (LORA, FROZEN),
        "FloatingPointError: gradient norm is nan",
        "def update(self, batch: PolicyBatch):\n"
        "    if batch.backward().grad_norm > 0:\n"
        "        for g in batch.gradients:\n"
        "            g.div_(g.norm())\n"
        "    batch.step()\n"
        "    return {}",
    ),
    Broken(
        "a schedule of its own",
        (SETTINGS,),
        "it changes lr from 0.02 to",
        update("for group in batch._optimizer.param_groups:\n    group['lr'] *= 0.9"),
    ),
    Broken(
        "a longer step, put back",
        (SETTINGS,),
        "it changes lr from 0.02 to 0.04",
        update(
            "for group in batch._optimizer.param_groups:\n    group['lr'] *= 2",
            after="for group in batch._optimizer.param_groups:\n    group['lr'] /= 2",
        ),
    ),
    Broken("draws from torch", (RANDOM,), "stream of torch", update("torch.rand(1)")),
    Broken("draws from Python", (RANDOM,), "stream of Python", update("random.random()")),
    Broken("draws from NumPy", (RANDOM,), "stream of NumPy", update("numpy.random.rand()")),
    Broken(
        "seeds at construction",
        (RANDOM,),
        "stream of torch",
        "def __init__(self):\n    torch.manual_seed(4)\n" + SIMPLE,
    ),
    Broken(
        "moves frozen parameters",
        (FROZEN,),
        "it changes the frozen parameter 'frozen'",
        update(
            after="with torch.no_grad():\n"
            "    for p in batch._model.parameters():\n"
            "        p.mul_(1.0 if p.requires_grad else 1.001)"
        ),
    ),
    Broken(
        "thaws",
        (FROZEN, ACCUMULATION, OTHERS),
        "it makes the frozen parameter 'frozen' trainable",
        update(after="batch._model.frozen.requires_grad_()"),
    ),
    Broken(
        "drops all gradients",
        (OTHERS,),
        "it changes the gradient of a parameter that is not the batch's",
        update(after="batch._model.zero_grad()"),
    ),
    Broken(
        "switches gradients off",
        (TORCH,),
        "it changes the torch setting gradient mode",
        update(after="torch.set_grad_enabled(False)"),
    ),
    Broken(
        "writes a file",
        (OUTSIDE,),
        "it writes to the file 'trace.txt'",
        update(after='Path("trace.txt").write_text("here")'),
    ),
    Broken(
        "starts a process",
        (OUTSIDE,),
        "it calls subprocess.Popen",
        update(after='subprocess.run([sys.executable, "--version"], capture_output=True)'),
    ),
    Broken(
        "forks",
        (OUTSIDE,),
        "it calls os.fork",
        update(after="child = os.fork()\nif not child:\n    os._exit(0)\nos.waitpid(child, 0)"),
    ),
    Broken(
        "opens a connection",
        (OUTSIDE,),
        "it calls socket.connect",
        update(
            after="with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
            '    s.connect(("127.0.0.1", 9))'
        ),
    ),
    Broken(
        "sets a variable",
        (OUTSIDE,),
        "it changes the environment variable GXPO_SEEN",
        update(after='os.environ["GXPO_SEEN"] = "1"'),
    ),
]
"""Found by the checks on the tiny policy."""

IN_TRAINER = [
    Broken(
        "edits parameters that it read before the step",
        (TRAINER,),
        "read batch.parameters again after every step",
        "def update(self, batch: PolicyBatch):\n"
        "    theta = batch.parameters\n"
        "    batch.backward()\n"
        "    batch.step()\n"
        "    with torch.no_grad():\n"
        "        theta[0].mul_(0.999)\n"
        "    return {}",
    ),
    Broken(
        "moves the base model under the adapters",
        (TRAINER,),
        "it changes base_model.* which LoRA keeps frozen",
        update(
            after="with torch.no_grad():\n"
            "    for p in batch._model.parameters():\n"
            "        if not p.requires_grad:\n"
            "            p.mul_(0.999)"
        ),
    ),
    Broken(
        "never steps",
        (TRAINER,),
        "it moves no adapter",
        "def update(self, batch: PolicyBatch):\n    batch.backward()\n    return {}",
    ),
    Broken(
        "ends at NaN",
        (TRAINER,),
        "is not finite",
        update(
            after="if batch._trainer.state.global_step == 2:\n"
            "    with torch.no_grad():\n"
            "        batch.parameters[0].fill_(float('nan'))"
        ),
    ),
    Broken(
        "writes NaN into its gradient",
        (TRAINER,),
        "gradient norm is nan as the rule left it",
        update(between="batch.gradients[0].fill_(float('nan'))"),
    ),
    Broken(
        "makes a backward pass of its own",
        (TRAINER,),
        "9 backward passes over micro-batches, counted 6",
        update(between="sum((p * p).sum() for p in batch.parameters).backward()"),
    ),
    Broken(
        "ends training early",
        (TRAINER,),
        "3 updates were 2 training steps",
        update(
            after="if batch._trainer.state.global_step == 1:\n"
            "    batch._trainer.control.should_training_stop = True"
        ),
    ),
]
"""Found in TRL's trainer, by one promise each."""

DISTRIBUTED = [
    Broken(
        "decides by its own half of the batch",
        (DDP, DTENSOR),
        "the processes end at different parameters|it ends elsewhere than one process",
        update(
            after="own = torch.cat([part.advantages for part in batch._micro_batches]).mean()\n"
            "with torch.no_grad():\n"
            "    for p in batch.parameters:\n"
            "        p.mul_(1 + 0.01 * float(own))"
        ),
    ),
    Broken(
        "sums its own shard",
        (DTENSOR,),
        "the processes report different diagnostics|it ends elsewhere than one process",
        "def update(self, batch: PolicyBatch):\n"
        "    batch.backward()\n"
        "    squares = [(g * g).sum() for g in batch.gradients]\n"
        "    squares = [s.to_local() if hasattr(s, 'to_local') else s for s in squares]\n"
        "    norm = sum(s.item() for s in squares) ** 0.5\n"
        "    with torch.no_grad():\n"
        "        for p in batch.parameters:\n"
        "            p.mul_(1 - 0.01 * norm)\n"
        "    batch.step()\n"
        "    return {}",
    ),
    Broken(
        "dearer in company",
        (DDP, DTENSOR),
        "it costs .*, in one process",
        update(between="if torch.distributed.is_initialized():\n    batch.backward()"),
    ),
    Broken(
        "fails on one process",
        (DDP, DTENSOR),
        "raised ValueError: not on this one",
        update(
            "if torch.distributed.is_initialized() and torch.distributed.get_rank():\n"
            "    raise ValueError('not on this one')"
        ),
    ),
]
