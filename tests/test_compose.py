"Traces of whole pipelines over real files, and what chains of the project's own steps are refused for"
import warnings
import numpy as np
import pytest
import torch
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.transforms.compose import Compose, Trace, TraceError, lookup, symbols, viewable
from vidnb.transforms.decoding import PyAVDecode, PyAVInit, RawFrameDecode
from vidnb.transforms.sampling import SampleFrames

NORM = dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])

def frames(trace, step): return next(r.frames for r in trace if r.step == step)

@pytest.mark.parametrize('layout, shape', [('NCTHW', (6, 3, 4, 64, 64)), ('NCHW', (24, 3, 64, 64))])
@pytest.mark.parametrize('to_bgr', [False, True])
def test_trace_of_a_testing_pipeline(layout, shape, to_bgr):
    "What is shown at the end is what was cropped, whatever happened to axes, channels and numbers in between"
    pipe = Compose([PyAVInit(), SampleFrames(4, 4, num_clips=2, test_mode=True), PyAVDecode(), dict(type='Resize', scale=(-1, 64)),
                    dict(type='ThreeCrop', crop_size=64), dict(NORM, to_bgr=to_bgr), dict(type='FormatShape', input_format=layout),
                    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]), dict(type='ToTensor', keys=['imgs', 'label'])])
    t = pipe.trace(dict(filename=str(shared_data('videos', 'arm_wrestling_mmaction2_demo.mp4')), label=1, modality='RGB'))
    assert [r.step for r in t] == ['sample', *(type(s).__name__ for s in pipe.transforms)]
    assert t[-1].keys['imgs'] == f'{shape} torch.float32' and tuple(t.sample['imgs'].shape) == shape
    assert t[0].keys['filename'] == '.../arm_wrestling_mmaction2_demo.mp4'
    for step in ('Normalize', 'FormatShape', 'ToTensor'): same(frames(t, step), frames(t, 'ThreeCrop'), eps=1)
    assert 0 < t[3].seconds and all(r.seconds >= 0 for r in t)
    assert len(t.show(tile=16).texts) == sum(r.frames is not None for r in t) == 6

def test_trace_changes_nothing(tmp_path):
    "The sample that a trace gives is the one that the chain gives, and the sample handed in stays as it was"
    pipe = Compose([PyAVInit(), SampleFrames(8, seed=3), PyAVDecode(), dict(type='Resize', scale=(48, 48), keep_ratio=False)])
    twin = Compose([PyAVInit(), SampleFrames(8, seed=3), PyAVDecode(), dict(type='Resize', scale=(48, 48), keep_ratio=False)])
    sample = dict(filename=str(shared_data('videos', 'carphone_pristine.mp4')))
    same(pipe.trace(sample).sample['imgs'], twin(dict(sample))['imgs'])
    assert list(sample) == ['filename']

def test_trace_of_a_decoder_that_waits():
    "Looking at frames that are not read yet does not use them up: the steps behind still read theirs"
    steps = [PyAVInit(), SampleFrames(4, 4, test_mode=True), PyAVDecode(lazy=True), dict(type='CenterCrop', crop_size=96, lazy=True), dict(type='Fuse')]
    sample = dict(filename=str(shared_data('videos', 'carphone_pristine.mp4')))
    t = Compose(steps).trace(sample)
    assert t[3].keys['imgs'] == 'UnreadFrames (4, 144, 176, 3) uint8' and t[5].keys['imgs'] == '(4, 96, 96, 3) uint8'
    same(t.sample['imgs'], Compose(steps)(sample)['imgs'])
    same(frames(t, 'CenterCrop'), t.sample['imgs'])
    same(frames(t, 'PyAVDecode')[:, 24:120, 40:136], t.sample['imgs'])

def test_trace_of_flow(tmp_path):
    import cv2
    for i in range(1, 7):
        for k,name in enumerate('xy'): cv2.imwrite(str(tmp_path/f'{name}_{i:05}.png'), np.full((8, 12), 100 + 10*i + k, np.uint8))
    pipe = Compose([SampleFrames(3, 2, test_mode=True), RawFrameDecode(), dict(type='Normalize', mean=(128, 128), std=(128, 128)), dict(type='FormatShape', input_format='NCHW_Flow')])
    t = pipe.trace(dict(frame_dir=str(tmp_path), filename_tmpl='{}_{:05d}.png', modality='Flow', total_frames=6, start_index=1))
    same(frames(t, 'RawFrameDecode')[:, 0, 0], np.array([110, 130, 150], np.uint8))
    for step in ('Normalize', 'FormatShape'): same(frames(t, step)[:, 0, 0], (np.array([110, 130, 150], np.float32)-128)/128, eps=1e-6)
    t.show()

def test_a_failing_step_is_named_with_what_it_had():
    pipe = Compose([PyAVInit(), SampleFrames(4), PyAVDecode(), dict(type='CenterCrop', crop_size=4000)])
    with pytest.raises(TraceError, match=r'step 4 of 4, CenterCrop\(crop_size=4000\), fails with ValueError') as e:
        pipe.trace(dict(filename=str(shared_data('videos', 'carphone_pristine.mp4'))))
    assert 'imgs (4, 144, 176, 3) uint8' in str(e.value) and len(e.value.trace) == 4 and isinstance(e.value.trace, Trace)

def test_old_settings_are_resolved():
    "A pipeline as the settings of the seed have it, by names alone"
    pipe = Compose([dict(type='DecordInit'), dict(type='DenseSampleFrames', clip_len=8, num_clips=2), dict(type='DecordDecode'), dict(type='RandomResizedCrop'),
                    dict(type='Resize', scale=(224, 224), keep_ratio=False), dict(type='Flip', flip_ratio=.5), NORM, dict(type='FormatShape', input_format='NCTHW'),
                    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]), dict(type='ToTensor', keys=['imgs', 'label'])])
    assert [r[1] for r in pipe.rows()][:3] == ['DecordInit', 'DenseSampleFrames', 'DecordDecode']
    text = repr(pipe)
    assert all(name in text and name in pipe._repr_markdown_() for name in ('RandomResizedCrop', 'img_norm_cfg', "input_format='NCTHW'"))

REFUSED = {
    'SampleFrames reads total_frames, which DecordInit writes; put DecordInit before SampleFrames': [dict(type='SampleFrames', clip_len=8), dict(type='DecordInit')],
    'DecordDecode reads frame_inds, which SampleFrames or': [dict(type='DecordInit'), dict(type='DecordDecode')],
    'Resize reads imgs, which PyAVDecode or': [dict(type='PyAVInit'), dict(type='SampleFrames', clip_len=8), dict(type='Resize', scale=(-1, 64))],
    'FormatShape reads clip_len, which SampleFrames or': [dict(type='Resize', scale=(-1, 64)), dict(type='FormatShape', input_format='NCTHW')],
    'SampleFrames reads avg_fps, which PyAVInit or': [dict(type='Flip'), dict(type='SampleFrames', clip_len=8, target_fps=30)],
    'ToTensor reads label, which Collect drops': [dict(type='PyAVInit'), dict(type='SampleFrames', clip_len=1), dict(type='PyAVDecode'), dict(type='Collect', keys=['imgs'], meta_keys=[]),
                                                  dict(type='ToTensor', keys=['imgs', 'label'])],
}

@pytest.mark.parametrize('text', REFUSED)
def test_chains_that_are_refused(text):
    with expect_error(ValueError, text): Compose(REFUSED[text])

def test_names_that_resemble():
    for wrong,right in dict(SampleFrame='SampleFrames', Normalise='Normalize', decordinit='DecordInit', RandomResizeCrop='RandomResizedCrop', Formatshape='FormatShape', TenCrops='TenCrop').items():
        with expect_error(ValueError, f'nothing called {wrong!r}; did you mean {right}'): Compose([dict(type=wrong)])

def test_every_transform_can_be_looked_up_and_told():
    "Each public step of the transform pages declares keys and has a docstring"
    steps = [lookup(n) for n,m in symbols().items() if m.startswith('vidnb.transforms.') and n[0].isupper()]
    steps = [c for c in steps if isinstance(c, type) and hasattr(c, 'writes') and c.__name__ not in ('Step', 'Compose')]
    assert len(steps) > 25
    for c in steps: assert callable(c) and c.__doc__, c

def test_deprecated_name_works_by_name():
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter('always')
        pipe = Compose([dict(type='FrameSelector')])
    assert [o.category for o in w] == [DeprecationWarning] and isinstance(pipe[0], RawFrameDecode)
