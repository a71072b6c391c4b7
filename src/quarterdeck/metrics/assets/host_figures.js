// The pages of one host's figures and of several compared; uPlot comes when a chart is drawn.
import "./figures/chart.js";
import "./figures/compare.js";
import "./figures/now.js";
