"""Speech recognition: `vita eval asr`.

datasets.py     LibriSpeech, AISHELL-1, WenetSpeech, Kaldi folders, manifests, as they are downloaded
normalise.py    texts as they are compared
transcribe.py   what the model heard: by its CTC head, or by asking it
recognition.py  the task: word and character errors
"""
