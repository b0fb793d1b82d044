//! errors
#[derive(Clone,Copy,Debug,PartialEq,Eq)]
pub enum LoadError { Shape }
