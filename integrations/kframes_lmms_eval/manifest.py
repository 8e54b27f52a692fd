"""What lmms-eval reads when it looks for models; apart, since it reads it while its own package of models loads."""

from lmms_eval.models.registry_v2 import ModelManifest

MANIFEST = ModelManifest("kframes", chat_class_path="kframes_lmms_eval.model.KFramesModel")
