//! Own physical operators, each beside its plain meaning.
