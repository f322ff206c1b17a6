# Every checkpoint of a cell, in one process.


rule evaluate:
    input:
        run=f"{CELL}/run.json",
        problems=problem_files(
            spec["problems"] for spec in evaluation_sets(CONFIG["evaluate"]).values()
        ),
    output:
        settings=f"{CELL}/evaluation.json",
        scores=f"{CELL}/scores.csv",
        problems=f"{CELL}/problems.parquet",
        samples=f"{CELL}/samples.jsonl.gz",
    log:
        f"{RESULTS}/logs/evaluate/{{model}}/{{label}}/seed{{seed}}.log",
    threads: cpus("evaluate")
    resources:
        **asked("evaluate"),
    params:
        settings=lambda wildcards: cell_of(wildcards).evaluate,
    shell:
        "{SETUP}gxpo evaluate {RESOLVED} --model {wildcards.model} --label {wildcards.label}"
        " --seed {wildcards.seed} 2>&1"
        " | (trap '' INT; exec tee -a {log} $(dirname {output.scores})/log.txt)"
