# What people look at, made from all finished cells.

SUITE_TABLES = [
    "suite_accuracy",
    "suite_accuracy_seeds",
    "suite_differences",
    "suite_targets",
    "suite_targets_seeds",
    "suite_tuned",
]
PAPER_TABLES = [
    "paper_1_accuracy",
    "paper_2_convergence",
    "paper_3_equal_passes",
    "paper_4_equal_time",
    "paper_5_alpha",
    "paper_6_surrogate",
    "paper_7_active_phase",
    "paper_8_kl_clip",
]
FIGURES = [
    "suite_learning_curves",
    "paper_1_steps",
    "paper_2_wall_clock",
    "paper_3_landscape",
    "paper_4_backward_passes",
    "paper_5_tau",
    "paper_6_response_length",
    "paper_7_diagnostics",
    "paper_8_retention",
]


rule tables:
    input:
        every_cell("metrics.jsonl"),
        every_cell("scores.csv"),
        every_cell("problems.parquet"),
    output:
        multiext(
            f"{RESULTS}/tables/",
            "tables.md",
            *[f"{name}.csv" for name in SUITE_TABLES + PAPER_TABLES],
            "claims.csv",
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
        [
            f"{RESULTS}/figures/{name}.{kind}"
            for name in FIGURES
            for kind in ("png", "pdf")
        ],
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
