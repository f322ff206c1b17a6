# What a configuration names in the registries, fetched once, on the machine that runs snakemake: compute
# nodes have no network. A file that is there already is a source like any other, whoever put it there;
# no rule makes it again (gxpo prepare --update does).

USED = used_benchmarks(CONFIG)
FETCHED = {name: str(model_record(name)) for name in hub_models(CONFIG)}
MISSING_DATA = [n for n, entry in USED.items() if not entry.file.exists()]
MISSING_MODELS = [n for n, record in FETCHED.items() if not os.path.exists(record)]


def problem_files(sources):
    """The files of problem sources, made by prepare_data where they are not there yet."""
    return [str(file) for file in map(problem_file, sources) if file is not None]


def prepared(sources):
    """Those of them that prepare_data makes: a user's own file is no output of any rule."""
    files = {str(USED[name].file) for name in USED}
    return [file for file in problem_files(sources) if file in files]


def suites(wildcards):
    """The test suites come first: what stands in them is dropped from the other sets."""
    if USED[wildcards.problems].role == "test":
        return []
    return [str(entry.file) for entry in USED.values() if entry.role == "test"]


if MISSING_DATA:

    rule prepare_data:
        input:
            suites,
        output:
            "data/{problems}.jsonl",
        wildcard_constraints:
            problems="|".join(map(re.escape, MISSING_DATA)),
        localrule: True
        shell:
            "gxpo prepare {RESOLVED} --only {wildcards.problems:q}"


if MISSING_MODELS:

    rule prepare_model:
        output:
            "data/models/{hub}.json",
        wildcard_constraints:
            hub="|".join(re.escape(Path(FETCHED[n]).stem) for n in MISSING_MODELS),
        localrule: True
        params:
            name=lambda wildcards: wildcards.hub.replace("--", "/"),
        shell:
            "gxpo prepare {RESOLVED} --only {params.name:q}"
