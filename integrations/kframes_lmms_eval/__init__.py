"""kframes before any chat model of lmms-eval: every video of a task becomes the k frames for its question.

    lmms-eval --model kframes --model_args inner=qwen2_5_vl,pretrained=Qwen/Qwen2.5-VL-3B-Instruct,k=8 --tasks videomme

lmms-eval finds ``manifest.MANIFEST`` by the entry point group ``lmms_eval.models``.
"""

import lmms_eval  # noqa: F401 - the gate: without the host there is no integration
