def handler(e,c): return {"env": dict(__import__("os").environ)}
