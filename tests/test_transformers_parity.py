"""TimeSformer and VideoMAE against the modules of Hugging Face's transformers: random weights, renamed, give the same scores."""
import pytest
import torch
from vidnb.core.testing import test_same
from vidnb.models.recognizers import Recognizer3D
from vidnb.models.timesformer import ATTENTION_TYPES, TimeSformer, TimeSformerHead, load_vit
from vidnb.models.videomae import VisionTransformer, load_videomae
transformers = pytest.importorskip('transformers')

size = dict(image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_frames=4, num_labels=7)

def randomised(model):
    "Every parameter drawn anew, so that zeros and ones of an initialisation hide nothing"
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters(): p.copy_(torch.randn(p.shape, generator=g)*.2)
    return model.eval()

def logits(model, x): return model(x).logits

def mean_logits(model, x):
    "With space-only attention transformers gives a row of scores for each frame; the authors average the tokens over frames before the last norm"
    tokens = model(x, output_hidden_states=True).hidden_states[-1].unflatten(0, x.shape[:2]).mean(1)
    return model.classifier(model.timesformer.layernorm(tokens)[:,0])

def same_scores(ours, theirs, scores=logits, frames=4):
    x = torch.randn(2, 3, frames, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want = scores(theirs, x.transpose(1, 2))
        assert want.std() > .05, 'scores that hardly differ prove nothing'
        test_same(ours.eval()(x), want, eps=1e-4*want.abs().max().item())

@pytest.mark.parametrize('attention_type', ATTENTION_TYPES)
def test_timesformer(attention_type):
    cfg = transformers.TimesformerConfig(**size, intermediate_size=128, attention_type=attention_type)
    theirs = randomised(transformers.TimesformerForVideoClassification(cfg))
    body = TimeSformer(4, 32, 8, embed_dims=32, num_heads=4, num_transformer_layers=2, attention_type=attention_type)
    assert load_vit(body, theirs.state_dict()) == ['classifier.weight', 'classifier.bias']
    head = TimeSformerHead(7, 32)
    head.fc_cls.load_state_dict(theirs.classifier.state_dict())
    same_scores(Recognizer3D(body, head), theirs, mean_logits if attention_type == 'space_only' else logits)

@pytest.mark.parametrize('pooled', (True, False))
@pytest.mark.parametrize('biased', (True, False))
def test_videomae(pooled, biased):
    cfg = transformers.VideoMAEConfig(**size, intermediate_size=128, tubelet_size=2, use_mean_pooling=pooled, qv_bias=biased, layer_norm_eps=1e-6)
    theirs = randomised(transformers.VideoMAEForVideoClassification(cfg))
    body = VisionTransformer(32, 8, embed_dims=32, depth=2, num_heads=4, num_frames=4, use_mean_pooling=pooled, qkv_bias=biased)
    state = {k.replace('videomae.layernorm.', 'norm.'): v for k,v in theirs.state_dict().items()}
    assert load_videomae(body, state) == ['classifier.weight', 'classifier.bias']
    if pooled: body.fc_norm.eps = theirs.fc_norm.eps
    head = TimeSformerHead(7, 32)
    head.fc_cls.load_state_dict(theirs.classifier.state_dict())
    same_scores(Recognizer3D(body, head), theirs)

def test_videomae_before_fine_tuning():
    "The encoder of the pre-training network, all tokens visible"
    cfg = transformers.VideoMAEConfig(**size, intermediate_size=128, tubelet_size=2, layer_norm_eps=1e-6, decoder_num_hidden_layers=1, decoder_hidden_size=16, decoder_num_attention_heads=2, decoder_intermediate_size=32)
    theirs = randomised(transformers.VideoMAEForPreTraining(cfg))
    body = VisionTransformer(32, 8, embed_dims=32, depth=2, num_heads=4, num_frames=4, return_feat_map=True).eval()
    left = load_videomae(body, theirs.state_dict())
    assert left and {k.split('.')[0] for k in left} == {'mask_token', 'encoder_to_decoder', 'decoder'}
    x = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want = theirs.videomae(x.transpose(1, 2)).last_hidden_state
        test_same(body(x).flatten(2).transpose(1, 2), want, eps=1e-4*want.abs().max().item())
