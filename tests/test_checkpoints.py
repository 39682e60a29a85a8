"""Weights from every zoo: networks of the peer libraries with random weights, saved in their own format, read into vidnb's, same scores.

And back: what vidnb saves for a library, that library's network reads. Golden models are read from files laid out as MMAction2's are."""
import re
import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from vidnb.core.testing import expect_error, fill_array, golden, test_same
from vidnb.interop.checkpoints import load_checkpoint, save_checkpoint, saved_state
from vidnb.interop.weight_files import load_object
from vidnb.interop.zoos import LAYOUTS, network_of
from vidnb.models.more_recognizers import csn, r2plus1d, slowfast
from vidnb.models.recognizers import Recognizer3D, find_arch, i3d, slowonly, tsm_r18, tsn, tsn_from, tsn_r18, video_classifier
from vidnb.models.timesformer import ATTENTION_TYPES, TimeSformer, TimeSformerHead
from vidnb.models.videomae import VisionTransformer
from vidnb.models.x3d import X3D, X3DHead
from vidnb.transforms.compose import build

def shaken(model, seed=0):
    "Random numbers in every entry, also where a fresh network has zeros and ones"
    g = torch.Generator().manual_seed(seed)
    for k,v in model.state_dict().items():
        if k.endswith('running_var'): v.copy_(1 + .2*torch.rand(v.shape, generator=g))
        elif v.is_floating_point() and v.dim() < 2: v.add_(.2*torch.randn(v.shape, generator=g))
        elif v.is_floating_point() and 'pos' not in k: v.copy_(torch.randn(v.shape, generator=g)*(1.5/max(1, v[0].numel()))**.5)
    return model.eval()

def clips(t=8, size=32, n=2): return torch.randn(n, 3, t, size, size, generator=torch.Generator().manual_seed(1))

def scores(model, x):
    with torch.no_grad(): got = model(list(x) if isinstance(x, list) else x)   # PyTorchVideo writes into the list
    got = got.logits if hasattr(got, 'logits') else got
    assert got.std() > 1e-3, 'scores that hardly differ prove nothing'
    return got

def same_scores(ours, theirs, x, x_theirs=None, get=scores):
    want = get(theirs, x if x_theirs is None else x_theirs)
    test_same(scores(ours.eval(), x), want, eps=1e-4*max(1, want.abs().max().item()))

def there_and_back(ours, theirs, tmp_path, layout, box, x, x_theirs=None, get=scores, n=None):
    "Theirs saved and read into ours: same scores; ours shaken, saved and read into theirs: same scores"
    torch.save({box: theirs.state_dict()} if box else theirs.state_dict(), tmp_path/'theirs.pth')
    report = load_checkpoint(ours, tmp_path/'theirs.pth')
    same_scores(ours, theirs, x, x_theirs, get)
    if n is not None: test_same(report.matched, n)
    test_same((report.left, report.notes), ({}, []))
    shaken(ours, 7)
    path = save_checkpoint(ours, tmp_path/'ours.pth', layout)
    held = load_object(path)
    theirs.load_state_dict(held[box] if box else held)
    same_scores(ours, theirs, x, x_theirs, get)
    return report

# ---- PyTorchVideo and PySlowFast

def ptv(): return pytest.importorskip('pytorchvideo.models')
def peer_resnet(t, **kw):
    ptv()
    from pytorchvideo.models.resnet import create_resnet
    return shaken(create_resnet(model_num_class=5, stem_dim_out=16, head_pool_kernel_size=(t,1,1), **kw))

I3D_STAGES = ((3,1,1), [(3,1,1),(1,1,1)], [(3,1,1),(1,1,1)], [(1,1,1),(3,1,1)])
I3D_INFLATE = ((1,1,1), (1,0,1,0), (1,0,1,0,1,0), (0,1,0))
small = dict(base_channels=16)
RESNETS = {  # the zoo's settings of each: PyTorchVideo's network, ours
    'slow_r50': (lambda: peer_resnet(4, stem_conv_kernel_size=(1,7,7)), lambda: slowonly(50, 5, **small), 4),
    'i3d_r50': (lambda: peer_resnet(4, stem_conv_kernel_size=(5,7,7), stage1_pool=nn.MaxPool3d, stage_conv_a_kernel_size=I3D_STAGES),
                lambda: i3d(50, 5, conv1_stride_t=1, pool1_stride_t=1, inflate=I3D_INFLATE, **small), 8),
    'c2d_r50': (lambda: peer_resnet(4, stem_conv_kernel_size=(1,7,7), stage1_pool=nn.MaxPool3d, stage_conv_a_kernel_size=((1,1,1),)*4),
                lambda: slowonly(50, 5, inflate=(0,0,0,0), with_pool2=True, **small), 8)}

@pytest.mark.parametrize('name', RESNETS)
def test_pytorchvideo_resnet(name, tmp_path):
    theirs, ours, t = RESNETS[name]
    report = there_and_back(ours(), theirs(), tmp_path, 'pytorchvideo', 'model_state', clips(t), n=320)
    assert report.source.startswith('PyTorchVideo (ResNet')

def test_pytorchvideo_csn(tmp_path):
    ptv()
    from pytorchvideo.models.csn import create_csn
    theirs = shaken(create_csn(model_depth=50, model_num_class=5, stem_dim_out=16, stem_pool=nn.MaxPool3d, head_pool_kernel_size=(1,1,1)))
    there_and_back(csn(50, 5, norm_cfg=dict(type='BN3d', eps=1e-5), **small), theirs, tmp_path, 'pytorchvideo', 'model_state', clips(), n=320)

def peer_slowfast():
    ptv()
    from pytorchvideo.models.slowfast import create_slowfast
    return shaken(create_slowfast(model_depth=50, model_num_class=5, stem_dim_outs=(16,2), slowfast_fusion_conv_kernel_size=(7,1,1), head_pool_kernel_sizes=((2,1,1), (8,1,1))))
def our_slowfast(): return slowfast(50, 5, resample_rate=4, speed_ratio=4, fusion_kernel=7, lateral_norm=True, **small)

def test_pytorchvideo_slowfast(tmp_path):
    x = clips()
    there_and_back(our_slowfast(), peer_slowfast(), tmp_path, 'pytorchvideo', 'model_state', x, [x[:,:,::4], x], n=662)

@pytest.mark.slow
def test_slowfast_at_its_published_size():
    "The shapes of the file SLOWFAST_8x8_R50 meet those of the network that the message names"
    ptv()
    from pytorchvideo.models import hub
    from vidnb.models.more_recognizers import slowfast_r50_8x8
    theirs, ours = hub.slowfast_r50(), slowfast_r50_8x8(400)
    test_same(sum(p.numel() for p in theirs.parameters()), 34_566_488)
    with expect_error(ValueError, 'slowfast(50, 400, resample_rate=4, speed_ratio=4, fusion_kernel=7, lateral_norm=True) builds it'): load_checkpoint(ours, theirs.state_dict())
    report = load_checkpoint(slowfast_r50_8x8(400, lateral_norm=True), theirs.state_dict())
    test_same((report.matched, report.left, report.missing), (662, {}, {}))

def our_x3d(n=5): return Recognizer3D(X3D(1, 2.25, 2.2), X3DHead(n, 432))
def peer_x3d():
    ptv()
    from pytorchvideo.models.x3d import create_x3d
    return shaken(create_x3d(input_clip_length=4, input_crop_size=64, model_num_class=5, head_activation=None))

def test_pytorchvideo_x3d(tmp_path):
    "One shortcut has a norm in the zoo and none here: it changes nothing, and where it would, there is no file for PyTorchVideo"
    theirs, ours = peer_x3d(), our_x3d()
    torch.save(dict(model_state=theirs.state_dict()), tmp_path/'x3d.pyth')
    report = load_checkpoint(ours, tmp_path/'x3d.pyth')
    test_same((report.matched, report.left, len(report.missing)), (563, {}, 5))
    same_scores(ours, theirs, clips(4, 64))
    theirs.load_state_dict(saved_state(ours, 'pytorchvideo'))
    same_scores(ours, theirs, clips(4, 64))
    ours.backbone.layer1[0].downsample.bn.bias.data += 1
    with expect_error(ValueError, 'pytorchvideo has no network like this one (X3D, 5 classes): backbone.layer1.0.downsample.bn.bias changes something'): saved_state(ours, 'pytorchvideo')

def psf_name(k):
    "PySlowFast's name of an entry of PyTorchVideo's SlowFast, Slow, CSN or X3D; its network cannot be installed, its names are known"
    k = re.sub(r'^blocks\.0\.multipathway_blocks\.(\d)\.(conv|norm)\.', lambda m: f's1.pathway{m[1]}_stem.{m[2]}.', k)
    k = re.sub(r'^blocks\.(\d)\.multipathway_fusion\.', lambda m: f's{int(m[1])+1}_fuse.', k).replace('_fuse.conv_fast_to_slow.', '_fuse.conv_f2s.').replace('_fuse.norm.', '_fuse.bn.')
    k = re.sub(r'^blocks\.(\d)\.multipathway_blocks\.(\d)\.res_blocks\.(\d+)\.', lambda m: f's{int(m[1])+1}.pathway{m[2]}_res{m[3]}.', k)
    k = re.sub(r'^blocks\.0\.(conv|norm)\.(?=\w+$)', r's1.pathway0_stem.\1.', k)
    k = k.replace('blocks.0.conv.conv_t.', 's1.pathway0_stem.conv_xy.').replace('blocks.0.conv.conv_xy.', 's1.pathway0_stem.conv.')
    k = re.sub(r'^blocks\.(\d)\.res_blocks\.(\d+)\.', lambda m: f's{int(m[1])+1}.pathway0_res{m[2]}.', k)
    for a,b in (('stem.norm.', 'stem.bn.'), ('branch1_conv.', 'branch1.'), ('branch1_norm.', 'branch1_bn.'), ('norm_b.1.block.0.', 'se.fc1.'), ('norm_b.1.block.2.', 'se.fc2.'), ('norm_b.0.', 'norm_b.'),
                ('blocks.5.pool.pre_conv.', 'head.conv_5.'), ('blocks.5.pool.pre_norm.', 'head.conv_5_bn.'), ('blocks.5.pool.post_conv.', 'head.lin_5.')): k = k.replace(a, b)
    k = re.sub(r'branch2\.(?:conv_([abc])|norm_([abc]))\.', lambda m: f'branch2.{m[1]}.' if m[1] else f'branch2.{m[2]}_bn.', k)
    return re.sub(r'^blocks\.[56]\.proj\.', 'head.projection.', k)

@pytest.mark.parametrize('name', ['slowfast', 'slowonly', 'x3d'])
def test_pyslowfast(name, tmp_path):
    x = clips(4, 64) if name == 'x3d' else clips(4 if name == 'slowonly' else 8)
    theirs, ours, again = {'slowfast': (peer_slowfast, our_slowfast, our_slowfast), 'slowonly': (RESNETS['slow_r50'][0], RESNETS['slow_r50'][1], RESNETS['slow_r50'][1]), 'x3d': (peer_x3d, our_x3d, our_x3d)}[name]
    theirs, ours, again = theirs(), ours(), again()
    state = {psf_name(k): v for k,v in theirs.state_dict().items()}
    if name == 'x3d': state |= {f's2.pathway0_res0.branch1_bn.{n}': torch.full((24,), v) for n,v in dict(weight=1., bias=0., running_mean=0., running_var=1-1e-5).items()}
    assert not any(k.startswith('blocks.') for k in state)
    torch.save(dict(epoch=196, model_state=state, optimizer_state={}, cfg='TRAIN:\n  ENABLE: True\n'), tmp_path/'psf.pyth')
    report = load_checkpoint(ours, tmp_path/'psf.pyth')
    assert report.source.startswith('PySlowFast')
    same_scores(ours, theirs, x, [x[:,:,::4], x] if name == 'slowfast' else None)
    saved = saved_state(ours, 'pyslowfast')
    test_same({k: v for k,v in saved.items() if not k.endswith('num_batches_tracked')}, {k: v for k,v in state.items() if not k.endswith('num_batches_tracked')})
    load_checkpoint(again, save_checkpoint(ours, tmp_path/'again.pyth', 'pyslowfast'))
    test_same(again.state_dict(), ours.state_dict())

def test_settings_are_held():
    with expect_error(ValueError, 'conv1_stride_t 2 where PyTorchVideo has 1; pool1_stride_t 2 where PyTorchVideo has 1: its scores would be others. i3d(50, 5, conv1_stride_t=1, pool1_stride_t=1'):
        load_checkpoint(model := i3d(50, 5, inflate=I3D_INFLATE, **small), RESNETS['i3d_r50'][0]().state_dict())
    report = load_checkpoint(model, RESNETS['i3d_r50'][0]().state_dict(), strict=False)
    test_same(len(report.notes), 2)
    with expect_error(ValueError, 'pool2 False where PyTorchVideo has True'): load_checkpoint(slowonly(50, 5, inflate=0, **small), RESNETS['c2d_r50'][0]().state_dict())

def test_no_counterpart():
    ptv()
    from pytorchvideo.models.r2plus1d import create_r2plus1d
    ours = r2plus1d(18, 5, base_channels=8)
    with expect_error(ValueError, 'is PyTorchVideo (R(2+1)D)'): load_checkpoint(ours, create_r2plus1d(model_num_class=5).state_dict())
    with expect_error(ValueError, 'is torchvision (R(2+1)D)'): load_checkpoint(ours, torchvision.models.video.r2plus1d_18(num_classes=5).state_dict())

# ---- torchvision and timm

@pytest.mark.parametrize('depth', [18, 50])
def test_torchvision_image(depth, tmp_path):
    theirs = shaken(getattr(torchvision.models, f'resnet{depth}')(num_classes=5, width_per_group=64))
    def by_frame(model, x): return torch.stack([scores(model, f) for f in x.unbind(2)]).mean(0)
    there_and_back(tsn(depth, 5), theirs, tmp_path, 'torchvision', '', clips(3), get=by_frame)

@pytest.mark.parametrize('name,inflate', [('r3d_18', 1), ('mc3_18', (1,0,0,0))])
def test_torchvision_clip(name, inflate, tmp_path):
    theirs = shaken(getattr(torchvision.models.video, name)(num_classes=5))
    ours = i3d(18, 5, conv1_kernel=(3,7,7), conv1_stride_t=1, with_pool1=False, with_pool2=False, temporal_strides=(1,2,2,2) if name == 'r3d_18' else (1,1,1,1), inflate=inflate)
    there_and_back(ours, theirs, tmp_path, 'torchvision', '', clips(8))

@pytest.mark.parametrize('name', ['r3d_18', 'r2plus1d_18', pytest.param('s3d', marks=pytest.mark.slow)])
def test_torchvision_inside(name, tmp_path):
    "A recogniser around torchvision's network takes its whole file, classifier included, and gives it back"
    theirs = shaken(getattr(torchvision.models.video, name)(num_classes=5))
    torch.save(theirs.state_dict(), tmp_path/'theirs.pth')
    load_checkpoint(ours := video_classifier(name, 5), tmp_path/'theirs.pth')
    if name != 's3d': same_scores(ours, theirs, clips(16, 32, 1))
    else: test_same(ours.cls_head.fc_cls.weight, theirs.classifier[1].weight.flatten(1))
    saved = saved_state(ours, 'torchvision')
    test_same({k: v.flatten() for k,v in saved.items()}, {k: v.flatten() for k,v in theirs.state_dict().items()})
    with expect_error(ValueError, "it has 5 classes, the model 3. head='skip'"): load_checkpoint(video_classifier(name, 3), tmp_path/'theirs.pth')

@pytest.mark.parametrize('name', ['resnet18', pytest.param('vit_tiny_patch16_224', marks=pytest.mark.slow)])
def test_timm(name, tmp_path):
    timm = pytest.importorskip('timm')
    theirs = shaken(timm.create_model(name, num_classes=5))
    ours = tsn_from(f'timm:{name}', 5)
    size = 224 if 'vit' in name else 32
    def by_frame(model, x): return torch.stack([scores(model, f) for f in x.unbind(2)]).mean(0)
    there_and_back(ours, theirs, tmp_path, 'timm', '', clips(2, size, 1), get=by_frame)
    if name == 'resnet18': there_and_back(tsn(18, 5), theirs, tmp_path, 'timm', '', clips(2), get=by_frame)

@pytest.mark.parametrize('name', ['swin3d_t', pytest.param('mvit_v2_s', marks=pytest.mark.slow)])
def test_zoo_names_of_torchvision_networks(name, tmp_path):
    "Files of MMAction2 for Swin and MViT"
    ours, again = shaken(video_classifier(name, 5)), video_classifier(name, 5)
    state = saved_state(ours, 'mmaction2')
    assert all(k in state for k in (['backbone.layers.0.blocks.0.attn.relative_position_bias_table', 'backbone.layers.0.downsample.reduction.weight', 'backbone.norm3.weight'] if 'swin' in name
        else ['backbone.patch_embed.projection.weight', 'backbone.blocks.0.attn.pool_q.weight', 'backbone.norm3.weight', 'backbone.blocks.0.attn.rel_pos_t'])), list(state)[:20]
    torch.save(dict(meta={}, state_dict=state), tmp_path/'zoo.pth')
    report = load_checkpoint(again, tmp_path/'zoo.pth')
    assert report.source.startswith(f'MMAction2 ({"Swin" if "swin" in name else "MViT"})')
    test_same(again.state_dict(), ours.state_dict())

# ---- transformers

size = dict(image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_frames=4, num_labels=5, intermediate_size=128)

def hugging(what, **kw):
    transformers = pytest.importorskip('transformers')
    return shaken(getattr(transformers, f'{what}ForVideoClassification')(getattr(transformers, f'{what}Config')(**size | kw)))

def our_videomae(**kw):
    body = VisionTransformer(32, 8, embed_dims=32, depth=2, num_heads=4, num_frames=4, **kw)
    return Recognizer3D(body, TimeSformerHead(5, 32))

@pytest.mark.parametrize('pooled', (True, False))
def test_videomae_of_hugging_face(pooled, tmp_path):
    theirs, ours = hugging('VideoMAE', tubelet_size=2, use_mean_pooling=pooled, layer_norm_eps=1e-6), our_videomae(use_mean_pooling=pooled)
    if pooled: ours.backbone.fc_norm.eps = theirs.fc_norm.eps
    x = clips(4)
    report = there_and_back(ours, theirs, tmp_path, 'huggingface', '', x, x.transpose(1, 2))
    assert report.source.startswith('Hugging Face (VideoMAE)')
    old = {k.replace('query.bias', 'q_bias').replace('value.bias', 'v_bias'): v for k,v in theirs.state_dict().items()}
    assert old.keys() != theirs.state_dict().keys()
    load_checkpoint(again := our_videomae(use_mean_pooling=pooled), old)
    test_same(again.state_dict(), ours.state_dict())

def test_videomae_of_its_authors(tmp_path):
    "Names of the authors' files: `module` or `model` around them, `encoder.` and a decoder before fine-tuning"
    ours, again = shaken(our_videomae()), our_videomae()
    state = saved_state(ours, 'videomae')
    assert {'patch_embed.proj.weight', 'blocks.1.attn.q_bias', 'blocks.1.attn.qkv.weight', 'blocks.0.mlp.fc1.weight', 'blocks.0.mlp.fc2.bias', 'fc_norm.weight', 'head.weight'} <= state.keys()
    assert 'pos_embed' not in state
    torch.save(dict(module=state), tmp_path/'a.pth')
    load_checkpoint(again, tmp_path/'a.pth')
    test_same(again.state_dict(), ours.state_dict())
    before = {f'encoder.{k}': v for k,v in state.items() if not k.startswith(('head', 'fc_norm'))} | {'encoder.norm.weight': torch.ones(32), 'encoder.norm.bias': torch.zeros(32), 'decoder.blocks.0.norm1.weight': torch.ones(8), 'mask_token': torch.zeros(1, 1, 8), 'encoder_to_decoder.weight': torch.zeros(8, 32)}
    with expect_error(ValueError, 'it has no classifier'): load_checkpoint(again, before)
    report = load_checkpoint(again, before, head='skip', strict=False)
    test_same({v for v in report.left.values()}, {'no part of the network', 'the model has no place for it'})

@pytest.mark.parametrize('kind', ATTENTION_TYPES)
def test_timesformer_of_hugging_face(kind, tmp_path):
    theirs = hugging('Timesformer', attention_type=kind)
    ours = Recognizer3D(TimeSformer(4, 32, 8, embed_dims=32, num_heads=4, num_transformer_layers=2, attention_type=kind), TimeSformerHead(5, 32))
    torch.save(theirs.state_dict(), tmp_path/'hf.bin')
    report = load_checkpoint(ours, tmp_path/'hf.bin')
    test_same(report.left, {})
    x = clips(4)
    if kind != 'space_only': same_scores(ours, theirs, x, x.transpose(1, 2))   # averages scores over frames there, as tests/test_transformers_parity.py has it
    test_same(saved_state(ours, 'huggingface'), theirs.state_dict())
    authors = saved_state(ours, 'timesformer')
    if kind == 'divided_space_time': assert {'blocks.0.temporal_attn.qkv.weight', 'blocks.1.temporal_fc.bias', 'blocks.0.attn.proj.weight', 'time_embed', 'head.bias', 'norm.weight'} <= authors.keys()
    torch.save(dict(model_state={f'model.{k}': v for k,v in authors.items()}), tmp_path/'authors.pyth')
    again = Recognizer3D(TimeSformer(4, 32, 8, embed_dims=32, num_heads=4, num_transformer_layers=2, attention_type=kind), TimeSformerHead(5, 32))
    load_checkpoint(again, tmp_path/'authors.pyth')
    test_same(again.state_dict(), ours.state_dict())

# ---- MMAction2: the golden models

def zoo_cases(): return [n for n,c in golden('E_models').items() if n.startswith('Recognizer') and 'cls_score' in c['expected']]

def golden_names():
    try: return zoo_cases()
    except FileNotFoundError: return ['golden data']

@pytest.mark.parametrize('name', golden_names())
def test_golden_as_a_file(name, tmp_path):
    case = golden('E_models')[name]
    state = {k: torch.from_numpy(fill_array(k, tuple(s))) for k,s in case['state_dict']}
    model = build(case['params']['model']).eval()
    kept = model.state_dict()
    state |= {k: kept[k].clone() for k in case.get('state_dict_not_filled') or []}
    meta = dict(config='model = dict(...)', epoch=100, mmaction_version='0.24.1')
    torch.save(dict(meta=meta, state_dict=state | {'data_preprocessor.mean': torch.zeros(3)}), tmp_path/'zoo.pth')
    report = load_checkpoint(model, tmp_path/'zoo.pth')
    test_same((report.matched, report.missing, report.left), (len(state), {}, {'data_preprocessor.mean': 'no part of the network'}))
    with torch.no_grad(): got = model(torch.from_numpy(case['inputs']['imgs']), return_loss=False)
    np.testing.assert_allclose(np.asarray(got), case['expected']['cls_score'], rtol=case['rtol'], atol=case['atol'])

NAMED = ['timesformer_b', 'timesformer_joint_b', 'timesformer_space_b', 'videomae_s', 'videomae_b', 'video_swin_t', 'video_swin_s', 'video_swin_b', 'mvitv1_b', 'mvitv2_s', 'tsm_nl_r50', 'i3d_nl_r50', 'slowonly_nl_r50',
         'tpn_slowonly_r50', 'tpn_tsm_r50', 'tsn_mobilenet_v2', 'tsm_mobilenet_v2', 'x3d_m', 'x3d_l', 'c3d', 'tanet_r50']

@pytest.mark.parametrize('name', NAMED)
def test_the_call_builds_it(name):
    "From names and shapes alone: the call that a message names gives a network with the same"
    def shapes(model): return {k: list(v.shape) for k,v in model.state_dict().items()}
    with torch.device('meta'):
        model = find_arch(name)(7)
        net = network_of(model.state_dict())
        test_same(net.n_out, 7)
        again = eval(net.call, {f: find_arch(f) for f in [net.call.partition('(')[0]]})
    test_same(shapes(again), shapes(model))

# ---- vidnb, fastai, wrappers

def test_fastai_learner_files(tmp_path):
    "What fastai's `learn.save` writes: model, and an optimiser's state with fastai's own classes"
    learner = pytest.importorskip('fastai.learner')
    from fastai.optimizer import Adam
    model = shaken(tsn_r18(5, **small))
    opt = Adam(list(model.parameters()), lr=1e-3)
    learner.save_model(tmp_path/'m.pth', model, opt)
    load_checkpoint(again := tsn_r18(5, **small), tmp_path/'m.pth')
    test_same(again.state_dict(), model.state_dict())

@pytest.mark.parametrize('wrap', [lambda s: {'module.'+k: v for k,v in s.items()}, lambda s: {'_orig_mod.'+k: v for k,v in s.items()}, lambda s: dict(state_dict={'model.'+k: v for k,v in s.items()}), lambda s: dict(state_dict_ema=s),
    lambda s: {'n_averaged': torch.tensor(3), **{'module.'+k: v for k,v in s.items()}}])
def test_wrappers(wrap, tmp_path):
    model = shaken(tsm_r18(5, **small))
    torch.save(wrap(model.state_dict()), tmp_path/'w.pth')
    load_checkpoint(again := tsm_r18(5, **small), tmp_path/'w.pth')
    test_same(again.state_dict(), model.state_dict())

def test_safetensors(tmp_path):
    pytest.importorskip('safetensors')
    model = shaken(tsn_r18(5, **small))
    path = save_checkpoint(model, tmp_path/'m.safetensors', 'torchvision', dict(epoch=3))
    load_checkpoint(again := tsn_r18(5, **small), path)
    test_same(again.state_dict(), model.state_dict())
    path.write_bytes(path.read_bytes()[:2000])
    with expect_error(ValueError, 'm.safetensors: cannot be read; is it whole?'): load_checkpoint(again, path)

def test_image_weights_into_a_shifted_network():
    "ImageNet's names into TSM's `.net`, with the classifier left"
    theirs = shaken(torchvision.models.resnet18())
    with expect_error(ValueError, "it has 1000 classes, the model 5. head='skip'"): load_checkpoint(tsm_r18(5), theirs.state_dict())
    model = tsm_r18(5)
    report = load_checkpoint(model, theirs.state_dict(), head='skip')
    test_same(model.backbone.layer2[1].conv1.conv.net.weight, theirs.layer2[1].conv1.weight)
    test_same((report.matched, len(report.left), len(report.missing)), (120, 2, 2))

def test_backbone_alone():
    "A network without a head takes the backbone of a recogniser's file"
    model = shaken(tsn_r18(5, **small))
    load_checkpoint(body := tsn_r18(7, **small).backbone, model.state_dict())
    test_same(body.state_dict(), model.backbone.state_dict())

def test_flow():
    "Colour filters for a network on ten channels of flow: their mean"
    theirs = shaken(torchvision.models.resnet18())
    model = tsn(18, 5, in_channels=10)
    report = load_checkpoint(model, theirs.state_dict(), head='skip')
    test_same(model.backbone.conv1.conv.weight, theirs.conv1.weight.mean(1, keepdim=True).expand(-1, 10, -1, -1), eps=1e-7)
    test_same(report.filled['backbone.conv1.conv.weight'][2], 'input channels averaged')

def test_every_layout_is_itself():
    "No layout is taken for another"
    for l in LAYOUTS:
        if isinstance(l.pairs, tuple) or not l.pairs or l.source == 'MMAction2': continue
        assert re.compile(l.sign) and len({a for a,_ in l.pairs}) == len(l.pairs), f'{l}: a pair twice'

@pytest.mark.parametrize('n', [0, 1, 3, 100, 5000, -5000, -1])
def test_cut_short(n, tmp_path):
    "Any piece of a file is refused, and the model is as it was"
    model = tsn_r18(5, **small)
    before = {k: v.clone() for k,v in model.state_dict().items()}
    for old in (False, True):
        torch.save(dict(state_dict=shaken(tsn_r18(5, **small)).state_dict()), tmp_path/'whole.pth', _use_new_zipfile_serialization=not old)
        (tmp_path/'cut.pth').write_bytes((tmp_path/'whole.pth').read_bytes()[:n])
        with expect_error(ValueError, 'cut.pth: '): load_checkpoint(model, tmp_path/'cut.pth')
    test_same(model.state_dict(), before)
