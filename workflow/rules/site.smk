# What jobs ask a cluster for: the model's `resources`, within the limits of slurm/site.yaml.

try:
    SITE = use_site()
    for entry in CONFIG["models"].values() if workflow.is_main_process else ():
        request(SITE, entry, "train")
except UserError as error:
    raise WorkflowError(redact(str(error)))
SETUP = SITE.setup_commands
CHECKPOINT_MINUTES = SITE.checkpoint_minutes


def asked(stage, model=None):
    """The resources of a stage's jobs; more on every attempt. model: default is the wildcard's."""

    def resource(key):
        return lambda wildcards, attempt: request(
            SITE, CONFIG["models"][model or wildcards.model], stage, attempt
        )[key]

    return {key: resource(key) for key in request(SITE, {}, stage)}


def cpus(stage, model=None):
    """The same for a run on this machine: the profile caps threads, so they are also a resource."""
    return lambda wildcards: request(
        SITE, CONFIG["models"][model or wildcards.model], stage
    )["cpus_per_task"]
