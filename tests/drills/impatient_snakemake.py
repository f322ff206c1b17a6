"""``snakemake`` that looks every two seconds whether its Slurm jobs have ended.

The plugin looks 10 s later each time nothing has ended, up to 3 minutes: good manners on a cluster,
most of the drill's time here. Nothing else differs, and the jobs run the ordinary Snakemake.
"""

import asyncio

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def sleep(executor):
    await asyncio.sleep(2)


if __name__ == "__main__":
    RemoteExecutor.sleep = sleep
    main()
