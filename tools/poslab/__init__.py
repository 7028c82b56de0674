"""poslab: the laboratory around posfw — an acquirer that misbehaves on request, an emulated terminal, the demo."""
