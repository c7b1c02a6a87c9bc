//! From syntax trees to DataFusion logical plans and own nodes.
