document.title = "loaded, in 1 of 6 lines that are much alike";
document.title = "loaded, in 2 of 6 lines that are much alike";
document.title = "loaded, in 3 of 6 lines that are much alike";
document.title = "loaded, in 4 of 6 lines that are much alike";
document.title = "loaded, in 5 of 6 lines that are much alike";
document.title = "loaded, in 6 of 6 lines that are much alike";
