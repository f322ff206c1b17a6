# How well GXPO predicts K real steps. A target of its own, not part of `all`:
# `snakemake --cores 2 surrogate`.


FIRST = cells(CONFIG)[0]  # whose model gxpo surrogate takes


rule surrogate:
    input:
        policy=FETCHED.get(FIRST.model_path, FIRST.model_path),
        problems=problem_files([CONFIG["train"]["problems"]]),
    output:
        multiext(f"{RESULTS}/surrogate/surrogate", ".csv", ".md", ".png", ".pdf"),
    log:
        f"{RESULTS}/logs/surrogate.log",
    threads: cpus("surrogate", FIRST.model)
    resources:
        **asked("surrogate", FIRST.model),
    shell:
        "{SETUP}gxpo surrogate {RESOLVED} 2>&1 | tee {log}"
