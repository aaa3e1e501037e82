"""Outer harnesses that bring the public benchmarks, with our model as one of theirs.

language.py       `vita eval language`: C-Eval, AGIEval, MMLU, GSM8K by lm-evaluation-harness
language_model.py our model as one of its models
vision.py         `vita eval vision`: MME ... Video-MME by lmms-eval
vision_model.py   our model as one of its models; lmms_entry.py: how it finds it
"""
