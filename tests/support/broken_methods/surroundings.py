"""Rules that change what is not theirs."""

from support.broken_methods.rule import (
    ACCUMULATION,
    FROZEN,
    OTHERS,
    OUTSIDE,
    RANDOM,
    SETTINGS,
    SIMPLE,
    TORCH,
    Broken,
    update,
)

SURROUNDINGS = [
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
