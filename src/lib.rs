//! Referring remote sensing image segmentation.
