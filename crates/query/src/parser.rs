//! QuestDB statements as syntax trees with source positions.
