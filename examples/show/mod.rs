//! Tables, plots and progress bars of the programs.

pub mod again;
pub mod bar;
pub mod plot;
pub mod promise;
pub mod series;
pub mod table;
