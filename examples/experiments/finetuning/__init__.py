"""Finetuning of an InstructPix2Pix pipeline, of any size, on any number of processes.

`Training` says how, `finetune` does it. The samples come encoded (`experiments.encoded`).
"""
