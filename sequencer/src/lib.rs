//! The rollup sequencer and its lifecycle engine.
