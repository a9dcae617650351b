# `make demo` and `make test` are the two commands of the README; everything else is for developers.
