"""lite, the bundled selector for real footage: runs offline, on a CPU, without torch."""

from kframes_plugin.selectors.lite.selector import LiteSelector as LiteSelector
