// The page where a file is chosen: a list that searches as one types.
import "./elements/picker.js";
