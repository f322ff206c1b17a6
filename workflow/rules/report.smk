# What people look at, made from all finished cells.


rule tables:
    input:
        every_cell("metrics.jsonl"),
        every_cell("scores.csv"),
        every_cell("problems.parquet"),
    output:
        multiext(
            f"{RESULTS}/tables/",
            "tables.md",
            "suite_accuracy.csv",
            "suite_accuracy_seeds.csv",
            "suite_differences.csv",
            "suite_targets.csv",
            "suite_targets_seeds.csv",
            "suite_tuned.csv",
            "paper_2_convergence.csv",
            "unfinished.csv",
        ),
    params:
        labels=list(CONFIG["methods"]),
        report=CONFIG["report"],
    shell:
        "gxpo tables {RESOLVED} > /dev/null"


rule figures:
    input:
        every_cell("metrics.jsonl"),
        every_cell("scores.csv"),
    output:
        multiext(f"{RESULTS}/figures/suite_learning_curves", ".png", ".pdf"),
    params:
        labels=list(CONFIG["methods"]),
        report=CONFIG["report"],
    shell:
        "gxpo figures {RESOLVED} > /dev/null"


rule mlflow:
    input:
        every_cell("run.json"),
        every_cell("scores.csv"),
    output:
        # the database itself is shared by all configs, so no rule owns it
        touch(f"{RESULTS}/mlflow.imported"),
    shell:
        "gxpo mlflow {RESOLVED} --database results/mlflow.db"
