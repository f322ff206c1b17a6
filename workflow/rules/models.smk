# Tiny policies, made here so that the default run needs no model hub.


rule warmstart:
    output:
        directory(f"{RESULTS}/models/{{model}}"),
    log:
        f"{RESULTS}/logs/warmstart/{{model}}.log",
    group:
        "warmstarts"
    threads: 1
    resources:
        **asked("warmstart"),
    params:
        spec=lambda wildcards: CONFIG["models"][wildcards.model],
    shell:
        "{SETUP}gxpo warmstart {RESOLVED} --model {wildcards.model} 2>&1 | tee {log}"
