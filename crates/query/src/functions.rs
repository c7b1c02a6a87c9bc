//! SQL functions and operators with the null rules of QuestDB.
