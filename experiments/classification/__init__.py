"""Audio-visual classification: options, runs, the comparison of methods, robustness to noise, flatness of minima."""
