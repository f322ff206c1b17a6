# One cell: model x method label x seed.


def policy(wildcards):
    """The folder of the policy to start from, or the record of a hub model that was fetched."""
    path = cell_of(wildcards).model_path
    return FETCHED.get(path, path)


def settings(wildcards):
    """What a cell is: a change of these, and of nothing else in the config, trains it again."""
    cell = cell_of(wildcards)
    model = CONFIG["models"][
        wildcards.model
    ]  # the locked commit is in the input, not in here
    return {
        "model": {k: v for k, v in model.items() if k not in NOT_SETTINGS},
        "method": {cell.method: cell.hyperparameters},
        "train": cell.deciding_train,
        "every": cell.evaluate["every"],
    }


rule train:
    input:
        policy=policy,
        method=lambda wildcards: method_file(cell_of(wildcards).method),
        problems=problem_files([CONFIG["train"]["problems"]]),
        reward=lambda wildcards: cell_of(wildcards).setting("train", "reward") or [],
    output:
        run=f"{CELL}/run.json",
        metrics=f"{CELL}/metrics.jsonl",
    log:
        f"{RESULTS}/logs/train/{{model}}/{{label}}/seed{{seed}}.log",
    threads: cpus("train")
    resources:
        **asked("train"),
    params:
        settings=settings,
    # Whoever stops a job signals all its processes, and so does Ctrl-C: training checkpoints and
    # exits with code 75 if the shell waits for it and tee stays to take its last lines.
    # log.txt is not declared: Snakemake empties {log} before another attempt.
    shell:
        "{SETUP}trap : TERM USR1 INT;"
        " gxpo train {RESOLVED} --model {wildcards.model} --label {wildcards.label}"
        " --seed {wildcards.seed} --processes {resources.gpu} --stop-before {CHECKPOINT_MINUTES}"
        " 2>&1 | (trap '' TERM USR1 INT; exec tee -a {log} $(dirname {output.run})/log.txt)"
