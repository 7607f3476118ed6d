"""stub"""
def draft_mjcf(root, path, log):
    raise NotImplementedError
