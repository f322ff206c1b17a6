# Tiny policies, so that the default run needs no model hub: shipped, or made here.


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
        settings=lambda wildcards: {
            key: CONFIG["models"][wildcards.model][key]
            for key in ("architecture", "warmstart_steps", "warmstart_seed")
        },
    shell:
        "{SETUP}gxpo warmstart {RESOLVED} --model {wildcards.model} 2>&1 | tee {log}"
