"""Learning over time, measured: streams of files, ways of learning from them, and a report (`make evaluate-stream`)."""
