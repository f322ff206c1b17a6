"""Rules that do not do the same again, or not what GRPO does."""

from support.broken_methods.rule import (
    ACCUMULATION,
    DETERMINISTIC,
    GRPO,
    RESUME,
    SIMPLE,
    Broken,
    update,
)

REPEATS = [
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
]
