//! For services and apps that work with Countersign.
