"""Which environment variables matter, and what becomes of each (``gxpo.host.environment`` does it).
docs/reference/environment.md is made from TABLE.

The configuration decides the numbers of a run, the command how many processes there are. A variable
that would change either behind their backs is dropped, with a line on standard error; what a user
may choose (threads, devices, folders, servers) is left alone and recorded in ``run.json``.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

SET = "set"  # whatever it was
DEFAULT = "set unless given"
DROPPED = "dropped"
DROPPED_ALONE = "dropped outside of launched processes"
RECORDED = "recorded"
PINNED = "set under `numerics: portable`"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Under ``portable`` the model's ``threads``."""
RANKS = "GXPO_RANKS"
NEUTRAL = ("", "0", "false", "no", "none", "off", "default", "strict")  # no word is lost on these


class Row(NamedTuple):
    """Variables that are treated alike. names: words, ``*`` stands for any ending; neutral: values
    (lower case) that would have changed nothing, ``*`` for all; on_gpus: only for runs on GPUs."""

    treatment: str
    names: str
    readers: str
    reason: str
    value: str = ""
    neutral: tuple[str, ...] = NEUTRAL
    on_gpus: bool = False

    def holds(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.names.split())


QUIET = ("*",)
TABLE = (
    Row(
        DROPPED,
        "ACCELERATE_MIXED_PRECISION ACCELERATE_DOWNCAST_BF16 ACCELERATE_FP8_* XLA_USE_BF16 "
        "XLA_DOWNCAST_BF16",
        "accelerate, transformers",
        "`dtype` of the model in the configuration decides the precision",
    ),
    Row(
        DROPPED,
        "NVIDIA_TF32_OVERRIDE TORCH_ALLOW_TF32_CUBLAS_OVERRIDE ONEDNN_DEFAULT_FPMATH_MODE "
        "DNNL_DEFAULT_FPMATH_MODE VLLM_FLOAT32_MATMUL_PRECISION",
        "cuBLAS, torch, oneDNN, vLLM",
        "products of float32 numbers are taken in float32",
        neutral=(*NEUTRAL, "highest"),
    ),
    Row(
        DROPPED,
        "ACCELERATE_DYNAMO_*",
        "accelerate, transformers",
        "the policy is not compiled",
    ),
    Row(
        DROPPED,
        "ACCELERATE_USE_DEEPSPEED ACCELERATE_DEEPSPEED_* ACCELERATE_USE_MEGATRON_LM MEGATRON_LM_* "
        "ACCELERATE_USE_PARALLELISM_CONFIG PARALLELISM_CONFIG_* ACCELERATE_USE_SAGEMAKER "
        "ACCELERATE_SAGEMAKER_* SM_FRAMEWORK_PARAMS SM_HP_MP_PARAMETERS",
        "accelerate, transformers",
        "another engine would own the steps, or split what is counted",
    ),
    Row(
        DROPPED,
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS ACCELERATE_GRADIENT_CLIPPING",
        "accelerate",
        "`train.micro_batch_size` and `train.max_grad_norm` of the configuration decide",
        neutral=(*NEUTRAL, "1"),
    ),
    Row(
        DROPPED,
        "ACCELERATE_USE_CPU ACCELERATE_TORCH_DEVICE",
        "accelerate, transformers",
        "CUDA_VISIBLE_DEVICES chooses the devices (empty: the processor)",
    ),
    Row(
        DROPPED_ALONE,
        "RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE PMI_RANK PMI_SIZE MPI_LOCALRANKID "
        "MPI_LOCALNRANKS OMPI_COMM_WORLD_* MV2_COMM_WORLD_*",
        "torch, accelerate, transformers, lm-eval",
        "of no launch by gxpo, and training would wait for processes that are not there (`gxpo "
        f"train --processes N` starts N, by hand {RANKS}=N marks them)",
        neutral=(*NEUTRAL, "1"),
    ),
    Row(
        DROPPED_ALONE,
        "MASTER_ADDR MASTER_PORT NODE_RANK GROUP_RANK GROUP_WORLD_SIZE ROLE_* TORCHELASTIC_* "
        "FORK_LAUNCHED",
        "torch, accelerate",
        "the rest of what a launcher leaves behind",
        neutral=QUIET,
    ),
    Row(
        DROPPED_ALONE,
        "ACCELERATE_USE_FSDP FSDP_* ACCELERATE_NUM_PROCESSES ACCELERATE_CPU_AFFINITY",
        "accelerate, transformers",
        "`parallel` of the model and config/accelerate decide how parameters are sharded",
    ),
    Row(
        DROPPED,
        "VLLM_USE_MODELSCOPE VLLM_MODEL_REDIRECT_PATH",
        "vLLM",
        "models come from the hub at the locked commit, or from a folder",
    ),
    Row(
        DROPPED,
        "VLLM_DP_*",
        "vLLM",
        "an engine is alone, and would wait for others that are not there",
        neutral=(*NEUTRAL, "1", "-1"),
    ),
    Row(
        DROPPED,
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",
        "torch",
        "pickles are never executed",
    ),
    Row(
        DROPPED,
        "MATPLOTLIBRC PYTHONIOENCODING",
        "matplotlib, Python",
        "figures have their own style, text is UTF-8; what a terminal cannot show is escaped",
        neutral=QUIET,
    ),
    Row(SET, "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "torch", "pickles are never executed", "1"),
    Row(SET, "USE_HUB_KERNELS", "transformers", "no code of the hub is run", "0"),
    Row(SET, "MPLBACKEND", "matplotlib", "figures go to files; a notebook's is not here", "Agg"),
    Row(
        SET,
        "MLFLOW_ENABLE_ASYNC_LOGGING",
        "MLflow",
        "rows are written before a process says that they are",
        "false",
    ),
    Row(SET, "MLFLOW_TRUNCATE_LONG_VALUES", "MLflow", "a long value fails no import", "true"),
    Row(
        SET,
        "PYTHONUTF8",
        "Python",
        "files are UTF-8, also where the locale is not: the command restarts itself there",
        "1",
    ),
    Row(
        PINNED, "ATEN_CPU_CAPABILITY", "torch", "kernels for AVX2, on wider processors too", "avx2"
    ),
    Row(
        PINNED,
        "MKL_CBWR",
        "MKL",
        "matrix products by code that is the same everywhere (its AVX2 code is not for all shapes)",
        "COMPATIBLE",
    ),
    Row(PINNED, "ONEDNN_MAX_CPU_ISA", "oneDNN", "kernels for AVX2", "AVX2"),
    Row(
        PINNED,
        "NPY_DISABLE_CPU_FEATURES",
        "numpy",
        "its logarithms round differently for every set of instructions, and its sort orders ties "
        "differently: what every x86-64 has; the names of several versions",
        "X86_V3 X86_V4 AVX512_ICL AVX512_SPR AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX",
    ),
    Row(PINNED, "OPENBLAS_CORETYPE", "numpy, scipy", "kernels for AVX2", "Haswell"),
    Row(
        PINNED,
        "CUBLAS_WORKSPACE_CONFIG",
        "cuBLAS",
        "products in one order, as torch's deterministic algorithms need it",
        ":4096:8",
        on_gpus=True,
    ),
    Row(
        PINNED,
        "VLLM_BATCH_INVARIANT",
        "vLLM",
        "a sample does not depend on which others are drawn beside it",
        "1",
        on_gpus=True,
    ),
    Row(DEFAULT, "TQDM_DISABLE", "tqdm", "the suite's own bars are enough", "1"),
    Row(DEFAULT, "TOKENIZERS_PARALLELISM", "tokenizers", "no warning at each fork", "false"),
    Row(
        DEFAULT,
        "DISABLE_MLFLOW_INTEGRATION",
        "transformers",
        "importing MLflow costs each training process a second",
        "TRUE",
    ),
    Row(DEFAULT, "VLLM_NO_USAGE_STATS", "vLLM", "nothing is sent unasked", "1"),
    Row(DEFAULT, "MLFLOW_DISABLE_TELEMETRY", "MLflow", "nothing is sent unasked", "true"),
    Row(
        DEFAULT, "HF_HUB_DISABLE_TELEMETRY", "huggingface_hub, TRL", "nothing is sent unasked", "1"
    ),
    Row(
        RECORDED,
        "HF_* HUGGINGFACE_* TRANSFORMERS_* TRL_* GXPO_*",
        "transformers, huggingface_hub, datasets, TRL, gxpo",
        "folders, the network (`HF_HUB_OFFLINE` is 1 in `train` and `evaluate` unless given, "
        "`HF_HOME` by `scratch` of the site)",
    ),
    Row(
        RECORDED,
        "XDG_CACHE_HOME",
        "gxpo",
        "where hashes of large files are remembered; default ~/.cache",
    ),
    Row(
        RECORDED,
        "OMP_* MKL_* KMP_* GOMP_* OPENBLAS_* ATEN_* ONEDNN_* DNNL_*",
        "torch, MKL, oneDNN",
        "threads and instruction sets change the rounding of sums; `OMP_NUM_THREADS` and "
        "`MKL_NUM_THREADS` are the model's `threads` under `numerics: portable`",
    ),
    Row(
        RECORDED,
        "CUDA_* CUBLAS_* CUDNN_* NVIDIA_VISIBLE_DEVICES HIP_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES "
        "PYTORCH_* TORCH_* TORCHDYNAMO_* "
        "TORCHINDUCTOR_* TRITON_* FLASH_ATTENTION_* VLLM_* NCCL_* GLOO_*",
        "torch, CUDA, vLLM",
        "devices, memory, kernels, networks between processes",
    ),
    Row(RECORDED, "ACCELERATE_*", "accelerate", "what is left changes no number"),
    Row(RECORDED, "PYTHON* LD_PRELOAD LD_LIBRARY_PATH", "Python", "which code runs"),
    Row(
        RECORDED,
        "MLFLOW_*",
        "MLflow, gxpo",
        "where runs go; requests are few and short where gxpo asks for them "
        "(`MLFLOW_HTTP_REQUEST_*`)",
    ),
    Row(RECORDED, "SLURM_JOB_ID", "gxpo", "the job; no rank is read from Slurm's variables"),
    Row(
        RECORDED,
        "NO_PROXY no_proxy",
        "requests, httpx",
        "this machine's own servers are added where a proxy is set",
    ),
)
