"""Which parts of a model a term of the objective teaches."""

from torch import Tensor, nn

TERMS = ("classification", "global_auxiliary", "local_auxiliary", "spatial", "size", "temporal")
# With everything switched on, as in the paper.
PAPER: dict[str, set[str]] = {
    "classification": {"global_encoder", "local_encoder", "classifier"},
    "global_auxiliary": {"global_encoder", "global_head"},
    "local_auxiliary": {"local_encoder", "local_head"},
    "spatial": {"spatial_policy", "policy_head"},
    "size": {"spatial_policy"},
    "temporal": {"temporal_policy"},
}


def reached(model: nn.Module, term: Tensor) -> set[str]:
    """Return the top-level modules that the term sends a gradient to."""
    model.zero_grad(set_to_none=True)
    if term.requires_grad:
        term.backward(retain_graph=True)
    return {
        name
        for name, module in model.named_children()
        if any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())
    }
