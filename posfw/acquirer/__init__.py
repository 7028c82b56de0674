"""Speaking to the acquirer: profiles (data), messages, matching of replies, sessions on a link."""
