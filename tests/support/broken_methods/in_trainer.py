"""Rules that break a promise in TRL's trainer, each by one promise."""

from support.broken_methods.rule import TRAINER, Broken, update

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
